/**
 * `vitrine pull`: downloads a model into the cache that Python's huggingface_hub uses too.
 */
import { Command } from "commander";
import { interrupted } from "../errors.ts";
import type { PulledLine } from "../json.ts";
import { bytes, counted } from "../numbers.ts";
import { Progress } from "../progress.ts";
import type { Run, Session } from "../session.ts";

const examples = `
Examples:
  vitrine pull HuggingFaceTB/SmolLM-135M
  vitrine pull openai-community/gpt2@main
  vitrine generate "Hello" --model HuggingFaceTB/SmolLM-135M

A download that was cut goes on where it stopped: run the same command again.
HF_ENDPOINT names another hub, HF_TOKEN your token, HF_HOME where the cache lies.`;

/** `vitrine pull` with its flags and help. */
export function pullCommand(run: Run): Command {
  return new Command("pull")
    .summary("download a model from a Hugging-Face-style hub")
    .description("Downloads a model's configuration, tokenizer and safetensors weights into the cache, and checks what came.")
    .argument("<id>", "ORG/NAME, or ORG/NAME@REVISION")
    .option("--json", "one JSON object about what came (docs/json.md)")
    .addHelpText("after", examples)
    .action((id: string, flags: { readonly json?: boolean }) => run((session) => pull(session, id, flags.json === true)));
}

async function pull(session: Session, id: string, asJson: boolean): Promise<number> {
  const progress = new Progress(session.talk, { title: id, unit: "bytes", after: 200 });
  try {
    const pulled = await session.models.fetch(id, {
      onProgress: ({ received, total, bytesPerSecond, secondsLeft, file, filesDone, filesTotal }) =>
        progress.update({
          done: received,
          total,
          rate: bytesPerSecond,
          secondsLeft,
          detail: filesTotal > 1 ? `${file} (${filesDone + 1} of ${filesTotal})` : file,
        }),
      onNote: (text) => {
        progress.clear();
        void session.talk.line(text);
      },
      signal: session.stop,
      env: session.io.env,
    });
    progress.clear();
    const line: PulledLine = { type: "pulled", ...pulled };
    if (asJson) await session.out.line(JSON.stringify(line));
    else {
      await session.out.line(pulled.folder);
      const fetched = pulled.files.fetched === 0 ? "already here" : `${pulled.files.fetched} of ${counted(pulled.files.total, "file")} fetched`;
      await session.hint(`${pulled.id}: ${bytes(pulled.bytes)}, ${fetched}; try vitrine generate "Once upon a time" --model ${pulled.id}`);
    }
    return 0;
  } catch (error) {
    if (session.isInterrupted()) {
      progress.clear();
      await session.hint("interrupted; run the same command again to go on from here");
      return interrupted;
    }
    throw error;
  } finally {
    progress.clear();
  }
}
