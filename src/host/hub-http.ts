/**
 * One HTTP conversation with a hub: redirects followed by hand so that the token never leaves the hub's own origin, silence
 * noticed, passing troubles tried again with growing pauses, refusals put into words. What to ask, and where the bytes go,
 * is the business of hub-listing.ts and hub-download.ts.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { quoted, VitrineError } from "../base/errors.ts";

export interface HubClient {
  /** What messages begin with, for example `pull openai-community/gpt2`. */
  readonly task: string;
  readonly repo: string;
  readonly revision: string;
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly fetch: typeof fetch;
  readonly signal: AbortSignal | undefined;
  /** Talk for people: a lost connection, a pause the hub asked for. */
  readonly note: (text: string) => void;
  /** Milliseconds without a byte after which a connection counts as lost. */
  readonly silenceMs: number;
  /** Milliseconds before the first new try; doubles up to 16 times that. */
  readonly pauseMs: number;
}

/** A trouble that may pass. Never leaves this room: `persist` tries again or turns it into a VitrineError. */
class PassingTrouble extends Error {
  readonly retryAfter: number | undefined;

  constructor(message: string, options: { retryAfter?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.retryAfter = options.retryAfter;
  }
}

/** An error that makes `persist` try again. */
export function passingTrouble(message: string): Error {
  return new PassingTrouble(message);
}

/** Tries in a row that brought not one byte; and all tries, against a server that sends one byte at a time. */
const FRUITLESS_TRIES = 5;
const ALL_TRIES = 200;
/** The longest pause, in seconds, a hub may ask for; the rate limits of huggingface.co are counted over 300 s. */
const LONGEST_PAUSE = 330;

/**
 * Runs `attempt` until it succeeds, fails for good, or has met too many passing troubles. It gets a function to call whenever
 * something arrived, which sets the count of fruitless tries back. Throws VitrineError (blame "work") when it gives up.
 */
export async function persist<T>(client: HubClient, attempt: (arrived: () => void) => Promise<T>, tries: number = FRUITLESS_TRIES): Promise<T> {
  let fruitless = 0;
  for (let all = 1; ; all++) {
    try {
      return await attempt(() => (fruitless = 0));
    } catch (error) {
      if (client.signal?.aborted || !(error instanceof PassingTrouble)) throw error;
      fruitless++;
      const asked = error.retryAfter ?? 0;
      if (asked > LONGEST_PAUSE) throw gaveUp(client, `${error.message}, and asks to wait ${Math.ceil(asked / 60)} minutes; try again then`, error);
      if (fruitless >= tries || all >= ALL_TRIES)
        throw gaveUp(client, `${error.message}; gave up after ${all === 1 ? "1 try" : `${all} tries`}`, error);
      const pause = Math.max(asked * 1000, client.pauseMs * 2 ** Math.min(fruitless - 1, 4));
      client.note(`${error.message}; trying again${pause >= 1000 ? ` in ${Math.round(pause / 1000)} s` : ""}`);
      await sleep(pause, undefined, { signal: client.signal });
    }
  }
}

function gaveUp(client: HubClient, message: string, cause: unknown): VitrineError {
  return new VitrineError(`${client.task}: ${message}`, { blame: "work", cause });
}

/** An answer whose status is 2xx, or one the caller said it can use. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** A header of the hub itself where the answer was redirected elsewhere (X-Linked-Etag and its kin), else of the answer. */
  hubHeader(name: string): string | null;
  /** The body. Must be read to its end or `close`d. Throws a passing trouble when it is cut or goes silent. */
  chunks(): AsyncGenerator<Uint8Array, void, undefined>;
  /** The body as text. Throws VitrineError when it is longer than `maxBytes`. */
  text(maxBytes: number): Promise<string>;
  close(): Promise<void>;
}

export interface Question {
  readonly method: "GET" | "HEAD";
  readonly url: string;
  /** What messages call it, for example `the list of files` or `model.safetensors`. */
  readonly what: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Statuses besides 2xx that are an answer. */
  readonly accept?: readonly number[];
}

/** Asks once. Throws a passing trouble (for `persist`) or VitrineError. */
export async function ask(client: HubClient, question: Question): Promise<Answer> {
  const silence = new AbortController();
  const timer = { handle: setTimeout(() => silence.abort(), client.silenceMs) };
  const signal = client.signal ? AbortSignal.any([client.signal, silence.signal]) : silence.signal;
  const explain = (error: unknown): unknown =>
    silence.signal.aborted
      ? new PassingTrouble(`${question.what}: nothing came for ${client.silenceMs / 1000} s`)
      : networkTrouble(client, question, error);
  try {
    const { response, hubHeaders, onHub } = await follow(client, question, signal, explain);
    const answer = answerOf(client, question, response, hubHeaders, timer, silence, explain);
    const edge = question.method === "HEAD" && response.status >= 300 && response.status < 400;
    if (response.ok || edge || question.accept?.includes(response.status)) return answer;
    throw await refusal(client, question, answer, onHub);
  } catch (error) {
    clearTimeout(timer.handle);
    throw error;
  }
}

async function follow(
  client: HubClient,
  question: Question,
  signal: AbortSignal,
  explain: (error: unknown) => unknown,
): Promise<{ response: Response; hubHeaders: Headers; onHub: boolean }> {
  const hub = new URL(client.endpoint).origin;
  let url = new URL(question.url);
  let hubHeaders: Headers | undefined;
  for (let hops = 0; hops <= 8; hops++) {
    const onHub = url.origin === hub;
    const headers: Record<string, string> = { "accept-encoding": "identity", "user-agent": `vitrine (node ${process.version})`, ...question.headers };
    // A content network gets a signed address instead: whoever else holds the token could act in the user's name.
    if (client.token && onHub) headers.authorization = `Bearer ${client.token}`;
    let response: Response;
    try {
      response = await client.fetch(url, { method: question.method, headers, redirect: "manual", signal });
    } catch (error) {
      throw explain(error);
    }
    if (onHub || !hubHeaders) hubHeaders = response.headers;
    if (![301, 302, 303, 307, 308].includes(response.status)) return { response, hubHeaders, onHub };
    await response.body?.cancel().catch(() => {});
    url = redirectTarget(client, question, url, response.headers.get("location"));
    // The facts about a file stand on the hub's own redirect; a storage address may be signed for GET alone.
    if (question.method === "HEAD" && url.origin !== hub) return { response, hubHeaders, onHub };
  }
  throw new VitrineError(`${client.task}: ${question.what}: more than 8 redirects; is HF_ENDPOINT (${client.endpoint}) the address of a hub?`, {
    blame: "work",
  });
}

function redirectTarget(client: HubClient, question: Question, from: URL, location: string | null): URL {
  let target: URL | undefined;
  try {
    target = new URL(location ?? "", from);
  } catch {
    // an unreadable address fails below like one of another kind
  }
  const safe = target && location && (target.protocol === "https:" || (target.protocol === "http:" && from.protocol === "http:"));
  if (safe) return target!;
  throw new VitrineError(`${client.task}: ${question.what}: the server redirects to ${quoted(location ?? "nowhere")}, expected an https address`, {
    blame: "work",
  });
}

function answerOf(
  client: HubClient,
  question: Question,
  response: Response,
  hubHeaders: Headers,
  timer: { handle: NodeJS.Timeout },
  silence: AbortController,
  explain: (error: unknown) => unknown,
): Answer {
  async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for await (const chunk of response.body ?? []) {
        // The clock stands still while the receiver works: a slow disk is not a silent server.
        clearTimeout(timer.handle);
        yield chunk as Uint8Array;
        timer.handle = setTimeout(() => silence.abort(), client.silenceMs);
      }
    } catch (error) {
      throw explain(error);
    } finally {
      clearTimeout(timer.handle);
    }
  }
  return {
    status: response.status,
    headers: response.headers,
    hubHeader: (name) => hubHeaders.get(name) ?? response.headers.get(name),
    chunks,
    async text(maxBytes) {
      const parts: Uint8Array[] = [];
      let length = 0;
      for await (const chunk of chunks()) {
        length += chunk.length;
        if (length > maxBytes)
          throw new VitrineError(
            `${client.task}: ${question.what}: longer than ${maxBytes} bytes; is HF_ENDPOINT (${client.endpoint}) the address of a hub?`,
            { blame: "work" },
          );
        parts.push(chunk);
      }
      return Buffer.concat(parts).toString("utf8");
    },
    async close() {
      clearTimeout(timer.handle);
      await response.body?.cancel().catch(() => {});
    },
  };
}

/** What `fetch` threw, in words: certificates fail for good, everything else may pass. */
function networkTrouble(client: HubClient, question: Question, error: unknown): unknown {
  if (client.signal?.aborted || !(error instanceof Error)) return error;
  const cause = error.cause instanceof Error ? error.cause : error;
  const code = (cause as NodeJS.ErrnoException).code ?? "";
  const host = new URL(question.url).host;
  if (/CERT|SIGNED|SIGNATURE|ERR_TLS/.test(code)) {
    return new VitrineError(
      `${client.task}: ${host} shows a certificate that is not trusted (${code}); behind a company proxy name its certificate in NODE_EXTRA_CA_CERTS`,
      { blame: "work", cause: error },
    );
  }
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|EHOSTUNREACH|ENETDOWN|CONNECT_TIMEOUT/.test(code)) {
    return new PassingTrouble(
      `cannot reach ${client.endpoint} (${code}): is the network up? HF_ENDPOINT names another hub or a mirror; ` +
        "a proxy in HTTPS_PROXY is used by Node 24 (and 22.21) or newer with NODE_USE_ENV_PROXY=1",
      { cause: error },
    );
  }
  return new PassingTrouble(`${question.what}: the connection was lost (${code || cause.message})`, { cause: error });
}

/** The reason behind a status that is no answer, with the cure. The codes are those of the header X-Error-Code. */
async function refusal(client: HubClient, question: Question, answer: Answer, onHub: boolean): Promise<Error> {
  const { status, headers } = answer;
  await answer.close();
  const code = headers.get("x-error-code") ?? "";
  if (status === 429 || status === 408 || status >= 500) {
    const said = status === 429 ? "the hub limits how often it may be asked" : `the server failed`;
    return new PassingTrouble(`${question.what}: ${said} (HTTP ${status})`, { retryAfter: pauseAskedFor(headers) });
  }
  // A signed address of a content network runs out after a while; asking the hub again brings a fresh one.
  if (!onHub) return new PassingTrouble(`${question.what}: the hub's storage refused (HTTP ${status})`);

  const { task, repo, endpoint } = client;
  const login = client.token ? "the token that was sent does not open it" : `set HF_TOKEN to a token from ${endpoint}/settings/tokens`;
  if (code === "GatedRepo" || status === 403) {
    return new VitrineError(
      `${task}: ${repo} is gated (HTTP ${status}): ask for access at ${endpoint}/${repo}, and ${client.token ? "use a token of that account; the one sent has no access" : login}`,
    );
  }
  if (code === "RevisionNotFound")
    return new VitrineError(
      `${task}: ${repo} has no revision ${quoted(client.revision)}; see ${endpoint}/${repo}/tree/main for its branches and tags`,
    );
  if (code === "EntryNotFound") return new VitrineError(`${task}: ${repo} has no file ${quoted(question.what)}`);
  if (status === 404 || code === "RepoNotFound") {
    return new VitrineError(
      `${task}: ${endpoint} has no model ${quoted(repo)}, or it is private (HTTP ${status}); check the spelling, and for a private one ${login}`,
    );
  }
  if (status === 401)
    return new VitrineError(`${task}: ${endpoint} wants to know who asks (HTTP 401): ${client.token ? `${login}; make a new one` : login}`);
  return new VitrineError(`${task}: ${question.what}: HTTP ${status} from ${endpoint}; is HF_ENDPOINT the address of a hub?`, { blame: "work" });
}

/** Seconds, from Retry-After (seconds or a date) or the hub's own `RateLimit: "api";r=0;t=55`. */
function pauseAskedFor(headers: Headers): number | undefined {
  const retryAfter = headers.get("retry-after")?.trim() ?? "";
  if (/^\d+$/.test(retryAfter)) return Number(retryAfter);
  const date = Date.parse(retryAfter);
  if (!Number.isNaN(date)) return Math.max(0, (date - Date.now()) / 1000);
  const reset = /;\s*t=(\d+)/.exec(headers.get("ratelimit") ?? "");
  return reset ? Number(reset[1]) : undefined;
}
