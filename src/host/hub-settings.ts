/**
 * Where the hub is, who asks and where the cache lies, from the same environment variables as Python's huggingface_hub,
 * so that both share one cache and one login. Nothing here touches the network.
 */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { quoted, VitrineError } from "../base/errors.ts";

export interface HubSettings {
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly token: string | undefined;
  /** The folder that holds `models--ORG--NAME`. */
  readonly cacheDir: string;
  /** HF_HUB_OFFLINE: the user forbids the network. */
  readonly offline: boolean;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads HF_ENDPOINT, HF_TOKEN (else the file HF_TOKEN_PATH, else $HF_HOME/token), HF_HUB_CACHE (else $HF_HOME/hub, else
 * $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub) and HF_HUB_OFFLINE. Throws VitrineError for an address that is none.
 */
export async function hubSettings(env: Environment = process.env): Promise<HubSettings> {
  const home = hubHome(env);
  return {
    endpoint: checkEndpoint(env.HF_ENDPOINT || "https://huggingface.co"),
    token:
      cleanToken(env.HF_TOKEN) ??
      cleanToken(env.HUGGING_FACE_HUB_TOKEN) ??
      (await tokenFile(env.HF_TOKEN_PATH ? expand(env.HF_TOKEN_PATH, env) : join(home, "token"))),
    cacheDir: hubCacheDir(env),
    offline: /^(1|on|yes|true)$/i.test(env.HF_HUB_OFFLINE ?? env.TRANSFORMERS_OFFLINE ?? ""),
  };
}

/** The folder of the cache, alone: what reading what is already there needs. */
export function hubCacheDir(env: Environment = process.env): string {
  const named = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE;
  return named ? expand(named, env) : join(hubHome(env), "hub");
}

function hubHome(env: Environment): string {
  return expand(env.HF_HOME || join(env.XDG_CACHE_HOME || join(userHome(env), ".cache"), "huggingface"), env);
}

/** The address as URLs are built on it. Throws VitrineError for anything but http and https. */
export function checkEndpoint(text: string): string {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    // handled below, together with addresses of another kind
  }
  if (!url || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "" || url.username !== "") {
    throw new VitrineError(`HF_ENDPOINT: ${quoted(text)} is not the address of a hub; expected something like https://huggingface.co`);
  }
  return url.href.replace(/\/+$/, "");
}

/** Undefined for an empty one. Throws VitrineError, without repeating the secret, for one that no HTTP header can carry. */
export function cleanToken(text: string | undefined): string | undefined {
  const token = text?.trim();
  if (!token) return undefined;
  if (!/^[\u0021-\u007e]+$/.test(token)) {
    throw new VitrineError("HF_TOKEN: the token has spaces or characters that no token has; copy it again from your hub's settings page");
  }
  return token;
}

async function tokenFile(path: string): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch {
    return undefined; // not logged in, or not readable for us: then the hub is asked without a name
  }
  return cleanToken(text);
}

function userHome(env: Environment): string {
  return env.HOME || homedir();
}

/** `~` and `$NAME`, as Python's expanduser and expandvars do it. */
function expand(path: string, env: Environment): string {
  return path
    .replace(/^~(?=[/\\]|$)/, () => userHome(env))
    .replace(/\$(?:(\w+)|\{(\w+)\})/g, (whole, plain: string, braced: string) => env[plain ?? braced] ?? whole);
}
