/**
 * Opening a model for a command, with a progress line when it takes long.
 */
import type { Engine } from "../engine/engine.ts";
import type { ModelFlags } from "./options.ts";
import { Progress } from "./progress.ts";
import type { Session } from "./session.ts";

/** The model that the flags name, or the default one; what is odd about it becomes a hint, and a device that fell short a notice. The caller disposes it. */
export async function openEngine(session: Session, flags: ModelFlags): Promise<Engine> {
  const progress = new Progress(session.talk, { title: "loading the model", unit: "weights" });
  try {
    return await session.models.open({
      ...flags,
      onProgress: (done, total) => progress.update({ done, total }),
      onNote: (text) => {
        progress.clear();
        void session.hint(text);
      },
      onDeviceNote: (text) => {
        progress.clear();
        void session.notice(text);
      },
      signal: session.stop,
    });
  } finally {
    progress.clear();
  }
}
