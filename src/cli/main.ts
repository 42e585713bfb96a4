/**
 * The `vitrine` command: which words mean which command, and how every run ends, in an exit code and at most one line of complaint.
 * What a command does is in commands/, loaded only when it is asked for.
 */
import { Command, CommanderError } from "commander";
import { nearest, VitrineError } from "../base/errors.ts";
import { interrupted, stackOf, verdictOn } from "./errors.ts";
import type { Io } from "./io.ts";
import type { Models } from "./models.ts";
import { openSession } from "./session.ts";
import type { Run, Session } from "./session.ts";
import { packageVersion } from "./version.ts";

interface Entry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<(run: Run) => Command>;
}

const entries: readonly Entry[] = [
  {
    name: "generate",
    summary: "continue a text, and show how each word was chosen",
    load: async () => (await import("./commands/generate.ts")).generateCommand,
  },
  {
    name: "tokenize",
    summary: "cut a text into the pieces a model reads",
    load: async () => (await import("./commands/tokenize.ts")).tokenizeCommand,
  },
  { name: "tokenizer", summary: "learn a vocabulary from text files", load: async () => (await import("./commands/tokenizer.ts")).tokenizerCommand },
  { name: "score", summary: "how much each word of a text surprises a model", load: async () => (await import("./commands/score.ts")).scoreCommand },
  { name: "inspect", summary: "look inside a model while it reads", load: async () => (await import("./commands/inspect.ts")).inspectCommand },
  { name: "train", summary: "learn a model from text files", load: async () => (await import("./commands/train.ts")).trainCommand },
  {
    name: "finetune",
    summary: "teach a model more, from texts or conversations",
    load: async () => (await import("./commands/finetune.ts")).finetuneCommand,
  },
  { name: "merge", summary: "make one model of a model and its LoRA adapter", load: async () => (await import("./commands/merge.ts")).mergeCommand },
  { name: "eval", summary: "how well a model knows texts", load: async () => (await import("./commands/eval.ts")).evalCommand },
  { name: "params", summary: "where a model's weights are, counted", load: async () => (await import("./commands/params.ts")).paramsCommand },
  { name: "pull", summary: "download a model from a Hugging-Face-style hub", load: async () => (await import("./commands/pull.ts")).pullCommand },
  {
    name: "export",
    summary: "write a model in another form: GGUF or safetensors",
    load: async () => (await import("./commands/export.ts")).exportCommand,
  },
  {
    name: "studio",
    summary: "the web app: see every word being chosen, in a browser",
    load: async () => (await import("./commands/studio.ts")).studioCommand,
  },
  { name: "models", summary: "list the models that are here", load: async () => (await import("./commands/models.ts")).modelsCommand },
  {
    name: "devices",
    summary: "what can compute here, what is picked, and how fast it is",
    load: async () => (await import("./commands/devices.ts")).devicesCommand,
  },
];

const examples = `
Try:
  vitrine generate "Once upon a time" --show 8
  vitrine tokenize "To date, the cleverest thinker of all time was"
  vitrine params gpt3
`;

/**
 * Runs one command line (without the node and script words) and gives the exit code: 0 done, 1 the work failed, 2 the request was wrong,
 * 130 interrupted. Never throws and never ends the process, so that what was written can leave it.
 */
export async function main(argv: readonly string[], io: Io, models?: Models): Promise<number> {
  const { session, close } = openSession(io, models ?? lazyModels);
  try {
    const code = io.env.VITRINE_START === "1" && argv.length === 0 ? await start(session) : await dispatch(argv, session);
    await session.out.flush(); // a full disk may be noticed only now
    return session.out.failure === undefined ? code : await complain(session, commandName(argv), session.out.failure);
  } catch (error) {
    if (session.isInterrupted()) return interrupted;
    if (session.out.gone.aborted && session.out.failure === undefined) return 0; // nobody listens any more: not our fault
    return await complain(session, commandName(argv), session.out.failure ?? error);
  } finally {
    close();
    await Promise.all([session.out.flush(), session.talk.flush()]);
  }
}

async function start(session: Session): Promise<number> {
  return (await import("./commands/start.ts")).start(session);
}

/** Finds the command and runs it. Only the modules of commands that are named are loaded. */
async function dispatch(argv: readonly string[], session: Session): Promise<number> {
  let code = 0;
  const run: Run = async (work) => {
    code = await work(session);
  };
  const said: string[] = []; // commander's own complaints: they become one line of ours
  const program = configured(new Command("vitrine"), session, said)
    .description("A GPT in a glass case: run language models and see how every word is chosen.")
    .version(packageVersion(), "-V, --version", "print the version")
    .addHelpText("after", examples);
  for (const { name, summary, load } of entries) {
    if (!argv.includes(name)) {
      program.command(name).summary(summary);
      continue;
    }
    const command = (await load())(run);
    for (const one of [command, ...command.commands]) one.copyInheritedSettings(program);
    program.addCommand(command);
  }
  program.helpCommand("help [command]", "how a command is used, with examples");
  if (argv.length === 0) {
    await session.out.write(program.helpInformation() + examples);
    return 0;
  }
  try {
    await program.parseAsync(argv as string[], { from: "user" });
    return code;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0 || error.code === "commander.help") return 0;
    throw new VitrineError(requestProblem(error, argv));
  }
}

function configured(program: Command, session: Session, said: string[]): Command {
  const { terminal } = session.out;
  const { paint } = terminal;
  return program
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => void session.out.write(text),
      writeErr: (text) => void said.push(text),
      getOutHelpWidth: () => Math.min(100, terminal.columns()),
      getOutHasColors: () => terminal.colour,
    })
    .configureHelp({
      styleTitle: (text) => paint.bold(text),
      styleCommandText: (text) => paint.hex("#5cd0b3")(text),
      styleSubcommandText: (text) => paint.hex("#5cd0b3")(text),
      styleOptionText: (text) => paint.hex("#3b9ccc")(text),
    });
}

/** Commander's message as one line of ours, with a cure where it has none. */
function requestProblem(error: CommanderError, argv: readonly string[]): string {
  const message = error.message
    .replace(/^error: /, "")
    .replace(/\n\((Did you mean [^)]*)\)$/, (_, meant: string) => `; ${meant[0].toLowerCase()}${meant.slice(1)}`)
    .replaceAll("\n", " ");
  if (error.code === "commander.unknownCommand") {
    const word = argv.find((argument) => !argument.startsWith("-")) ?? "";
    const meant = nearest(
      word,
      entries.map(({ name }) => name),
    );
    return `unknown command '${word}'; ${meant === undefined ? `commands are ${entries.map(({ name }) => name).join(", ")}` : `did you mean ${meant}?`}`;
  }
  if (error.code === "commander.unknownOption") {
    if (/unknown option '[^']*\s/.test(message)) return `${message}; a text that begins with - needs -- before it`;
    if (!message.includes("id you mean")) return `${message}; --help lists them`;
  }
  return message;
}

function commandName(argv: readonly string[]): string {
  const name = entries.find((entry) => entry.name === argv.find((word) => !word.startsWith("-")))?.name;
  return name === undefined ? "vitrine" : `vitrine ${name}`;
}

/** One line on standard error, and the exit code that goes with it. */
async function complain(session: Session, name: string, error: unknown): Promise<number> {
  const { message, exitCode } = verdictOn(error);
  const { paint } = session.talk.terminal;
  if (session.out.terminal.isTTY) await session.out.endLine(); // a text that was cut off keeps its line
  const line = oneLine(message);
  // Some messages begin with the operation already: `pull org/name: ...`.
  const operation = name === "vitrine" ? undefined : new RegExp(`^${name.slice("vitrine ".length)}( \\S+)?: `).exec(line)?.[0];
  const head = operation === undefined ? `${name}:` : `vitrine ${operation.trimEnd()}`;
  await session.talk.line(`${paint.red(head)} ${line.slice(operation?.length ?? 0)}`);
  if (session.io.env.VITRINE_DEBUG === "1") await session.talk.line(stackOf(error));
  return exitCode;
}

function oneLine(message: string): string {
  return message.replaceAll(/\s*\n\s*/g, " ");
}

/** The models of this machine, loaded at the first call. */
const lazyModels: Models = {
  open: async (...args) => (await hostModels()).open(...args),
  openTokenizer: async (...args) => (await hostModels()).openTokenizer(...args),
  tally: async (...args) => (await hostModels()).tally(...args),
  list: async (...args) => (await hostModels()).list(...args),
  fetch: async (...args) => (await hostModels()).fetch(...args),
};

async function hostModels(): Promise<Models> {
  return (await import("./host-models.ts")).hostModels;
}
