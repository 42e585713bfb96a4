/** Chat templates: found in a folder's files, rendered as Hugging Face does, refused clearly. */
import { describe, expect, test } from "vitest";
import { characterTokenizer } from "./characters.ts";
import { chatTemplate, chatTemplateOf, plainChatTemplate, templateTokens } from "./chat-template.ts";
import type { ChatMessage } from "./chat-template.ts";

const tokens = { bosToken: "<s>", eosToken: "</s>" };
const chat: readonly ChatMessage[] = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Hi" },
  { role: "assistant", content: "Yo" },
];

describe("templates", () => {
  // As Llama 2's and Qwen's models bring them, shortened.
  test.each([
    [
      "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] | trim + eos_token }}{% endif %}{% endfor %}",
      "<s>[INST] Hi [/INST] Yo</s>",
    ],
    [
      "{%- for message in messages %}\n    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}",
      "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYo<|im_end|>\n<|im_start|>assistant\n",
    ],
  ])("%s", (source, expected) => {
    expect(chatTemplate(source, tokens).render(chat, true)).toBe(expected);
  });

  test("the plain one", () => {
    const template = chatTemplate(plainChatTemplate(false), tokens);
    expect(template.render(chat)).toBe("Be brief.\n\nUser: Hi\nAssistant: Yo</s>\n");
    expect(template.render(chat.slice(0, 2), true)).toBe("Be brief.\n\nUser: Hi\nAssistant:");
    expect(chatTemplate(plainChatTemplate(true), tokens).render(chat.slice(1, 2))).toBe("<s>User: Hi\n");
    expect(chatTemplate(plainChatTemplate(false), { bosToken: undefined, eosToken: undefined }).render(chat.slice(1))).toBe(
      "User: Hi\nAssistant: Yo\n",
    );
  });

  test("what is no Jinja, and what the template itself refuses, is told in one line", () => {
    expect(() => chatTemplate("{% for %}", tokens, "chat_template.jinja")).toThrow(/^chat_template\.jinja: not a Jinja template \(.+\); correct it/);
    const picky = chatTemplate("{{ raise_exception('System role not supported.') }}", tokens);
    expect(() => picky.render(chat)).toThrow("the chat template does not take these messages: System role not supported; change them");
  });
});

describe("where a template is found", () => {
  test("a text, the default of several, chat_template.jinja before both, or nowhere", () => {
    expect(chatTemplateOf({ chat_template: "a" }, undefined)).toBe("a");
    expect(chatTemplateOf({ chat_template: "a" }, "b")).toBe("b");
    expect(chatTemplateOf({ chat_template: [{ name: "tool_use", template: "t" }, { name: "default", template: "d" }] }, undefined)).toBe("d"); // prettier-ignore
    for (const config of [undefined, {}, { chat_template: null }]) expect(chatTemplateOf(config, undefined)).toBeUndefined();
  });

  test("anything else is refused by name", () => {
    expect(() => chatTemplateOf({ chat_template: 3 }, undefined)).toThrow("tokenizer_config.json: chat_template: 3 came where a text was expected");
    expect(() => chatTemplateOf({ chat_template: [{ name: "rag", template: "" }] }, undefined)).toThrow('none of "rag" is "default"');
    expect(() => chatTemplateOf({ chat_template: ["x"] }, undefined)).toThrow('chat_template[0]: the text "x" came');
    expect(() => chatTemplateOf({ chat_template: [{ name: "default" }] }, undefined)).toThrow("chat_template[0].template");
  });

  test("special tokens are those the config names, else the tokenizer's", async () => {
    const tokenizer = await characterTokenizer("abc", ["<|endoftext|>"]);
    expect(templateTokens(tokenizer, undefined)).toEqual({ bosToken: "<|endoftext|>", eosToken: "<|endoftext|>" });
    expect(templateTokens(tokenizer, { bos_token: { content: "<s>" }, eos_token: "</s>" })).toEqual(tokens);
    expect(templateTokens(await characterTokenizer("abc"), {})).toEqual({ bosToken: undefined, eosToken: undefined });
  });
});
