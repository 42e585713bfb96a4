/**
 * Chat templates: how a conversation becomes the one text a model reads. They are programs in Jinja, as Hugging Face keeps them in
 * tokenizer_config.json (`chat_template`) or beside it (chat_template.jinja); the library @huggingface/jinja runs them.
 * Which part of that text is whose words is training/chat-data.ts's.
 */
import { Template } from "@huggingface/jinja";
import { FormatError, quoted, VitrineError } from "../base/errors.ts";
import { describe, isJsonObject } from "../base/json.ts";
import type { JsonObject } from "../base/json.ts";
import { textField } from "./fields.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

export interface ChatTemplate {
  /** The program. */
  readonly source: string;
  readonly tokens: TemplateTokens;
  /**
   * The conversation as one text, special tokens written out. `answer`: it ends where the assistant's next words begin.
   * Throws VitrineError with the template's own words when it does not take these messages.
   */
  render(messages: readonly ChatMessage[], answer?: boolean): string;
}

/** The special tokens a template may write. */
export interface TemplateTokens {
  readonly bosToken: string | undefined;
  readonly eosToken: string | undefined;
}

/** What a model folder calls its special tokens: tokenizer_config.json's names, else those of the tokenizer's own ids. */
export function templateTokens(tokenizer: Tokenizer, config: JsonObject | undefined): TemplateTokens {
  const named = (field: "bos_token" | "eos_token", id: number | undefined): string | undefined => {
    const value = config?.[field];
    const text = isJsonObject(value) ? value.content : value;
    if (typeof text === "string") return text;
    return id === undefined ? undefined : tokenizer.token(id).text;
  };
  return { bosToken: named("bos_token", tokenizer.bosId), eosToken: named("eos_token", tokenizer.eosId) };
}

/** `name` is where the template was found, for messages. Throws FormatError when it is not Jinja. */
export function chatTemplate(source: string, tokens: TemplateTokens, name = "the chat template"): ChatTemplate {
  const template = parsed(source, name);
  const { bosToken, eosToken } = tokens;
  const known = { ...(bosToken === undefined ? {} : { bos_token: bosToken }), ...(eosToken === undefined ? {} : { eos_token: eosToken }) };
  return {
    source,
    tokens,
    render: (messages, answer = false) => {
      try {
        return template.render({ messages: messages.map(({ role, content }) => ({ role, content })), add_generation_prompt: answer, ...known });
      } catch (cause) {
        throw new VitrineError(`${name} does not take these messages: ${said(cause)}; change them, or use another template`, { cause });
      }
    },
  };
}

function parsed(source: string, name: string): Template {
  try {
    return new Template(source);
  } catch (cause) {
    throw new FormatError(`${name}: not a Jinja template (${said(cause)}); correct it, or use another`, { cause });
  }
}

function said(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).replaceAll(/\s+/g, " ").replace(/[.;:]$/, "");
}

/**
 * The template in a model folder's files; undefined when there is none. `jinja` is the text of chat_template.jinja, which counts more,
 * as in Hugging Face's transformers. Of several named ones it is "default". Throws FormatError when what is there is no template.
 */
export function chatTemplateOf(config: JsonObject | undefined, jinja: string | undefined): string | undefined {
  if (jinja !== undefined) return jinja;
  const value = config?.chat_template;
  if (value === undefined || value === null) return undefined;
  const where = "tokenizer_config.json: chat_template";
  if (!Array.isArray(value)) return textField(value, where);
  const names = value.map((entry, i) => (isJsonObject(entry) ? textField(entry.name, `${where}[${i}].name`) : refuse(`${where}[${i}]`, entry)));
  const at = names.indexOf("default");
  if (at < 0) throw new FormatError(`${where}: none of ${names.map(quoted).join(", ")} is "default"; give the one to use by itself`);
  return textField((value[at] as JsonObject).template, `${where}[${at}].template`);
}

function refuse(where: string, value: unknown): never {
  throw new FormatError(`${where}: ${describe(value)} came where {"name", "template"} was expected; correct it`);
}

/**
 * The template for models that bring none:
 *
 *     You are brief.
 *
 *     User: Who are you?
 *     Assistant: A model.<|endoftext|>
 *
 * Every answer ends with the end-of-text token where the tokenizer has one. `start`: texts of this tokenizer begin with the start token.
 */
export function plainChatTemplate(start: boolean): string {
  return [
    start ? "{{ bos_token }}" : "",
    "{% for message in messages %}",
    "{% if message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}",
    "{% elif message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\\n' }}",
    "{% else %}{{ 'Assistant: ' + message['content'] }}{{ eos_token }}{{ '\\n' }}{% endif %}",
    "{% endfor %}",
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}",
  ].join("");
}
