/**
 * Names that come from outside before they touch a path or an URL: `ORG/NAME@REV`, and the file names of a hub's listing.
 * The rules are those of huggingface_hub 2.0.0 (validate_repo_id, _validate_relative_filename) and of git's ref names.
 */
import { FormatError, quoted, VitrineError } from "../base/errors.ts";

export interface ModelId {
  /** "ORG/NAME"; a few old models are a bare "NAME". */
  readonly repo: string;
  /** Branch, tag, `refs/pr/1` or commit. "main" when the user named none. */
  readonly revision: string;
}

const EXPECTED = "expected ORG/NAME or ORG/NAME@REVISION, for example HuggingFaceTB/SmolLM-135M@main";

/** Reads `ORG/NAME[@REV]`. Throws VitrineError (blame "request") that says which part is not allowed. */
export function parseModelId(text: string): ModelId {
  const fail = (problem: string): never => {
    throw new VitrineError(`model id ${quoted(text)}: ${problem}; ${EXPECTED}`);
  };
  if (/^[a-z]+:\/\//i.test(text)) fail("this is a web address, not an id");
  const at = text.indexOf("@");
  const repo = at < 0 ? text : text.slice(0, at);
  const revision = at < 0 ? "main" : text.slice(at + 1);

  if (repo === "") fail("there is no name");
  if (repo.length > 96) fail(`${repo.length} characters, at most 96 are allowed`);
  const parts = repo.split("/");
  if (parts.length > 2) fail("more than one slash");
  if (parts.includes("")) fail("a part beside the slash is empty");
  for (const part of parts) {
    const odd = /[^A-Za-z0-9._-]/u.exec(part);
    if (odd) fail(`the character ${quoted(odd[0])} is not allowed, names are letters, digits, '-', '_' and '.'`);
    if (/^[-.]|[-.]$/.test(part)) fail("a name may not begin or end with '-' or '.'");
  }
  // "--" stands for the slash in the cache's folder names, so it cannot also be part of a name.
  if (repo.includes("--") || repo.includes("..")) fail("'--' and '..' are not allowed");
  if (repo.endsWith(".git")) fail("leave out the '.git'");

  const problem = revisionProblem(revision);
  if (problem) fail(`the revision ${quoted(revision)} ${problem}`);
  return { repo, revision };
}

/** "ORG/NAME", with "@REV" unless that is main. */
export function formatModelId(id: ModelId): string {
  return id.revision === "main" ? id.repo : `${id.repo}@${id.revision}`;
}

/** A full commit hash, which names one state of a repository for ever. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** git-check-ref-format's rules (and so no way out of the folder `refs/`), or undefined when the revision is fine. */
function revisionProblem(revision: string): string | undefined {
  if (revision === "") return "is empty";
  if (revision.length > 200) return `has ${revision.length} characters, at most 200 are allowed`;
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u0020\u007f~^:?*[\\@{]/.test(revision)) return "has a character that no branch, tag or commit may have";
  if (revision.startsWith("-")) return "begins with '-'";
  const segments = revision.split("/");
  if (segments.some((segment) => segment === "" || segment.startsWith(".") || segment.endsWith(".") || segment.includes(".."))) {
    return "has an empty part or misplaced dots";
  }
  return segments.some((segment) => segment.endsWith(".lock")) ? "ends with '.lock'" : undefined;
}

/**
 * Throws FormatError unless `path`, one file of a repository, stays inside the folder it is joined to, by the rules of
 * POSIX and of Windows alike (a cache may be on a shared disk).
 */
export function checkFilePath(path: string, listing: string): void {
  const parts = path.split("/");
  const escapes =
    path.length > 1000 ||
    path.includes("\\") ||
    parts.some((part) => part === "" || part === "." || part === ".." || /^[A-Za-z]:/.test(part)) ||
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    /[\u0000-\u001f\u007f]/.test(path);
  if (escapes) {
    throw new FormatError(`${listing}: lists the file name ${quoted(path)}, which could be written outside its folder; nothing of it was downloaded`);
  }
}
