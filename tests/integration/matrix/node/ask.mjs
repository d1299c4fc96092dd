// The official Node SDKs, asked by lines of JSON on standard input. Each line is answered by `{"word": ...}` for every
// piece of a stream as it arrives, and at last by `{"result": ...}` or `{"error": ...}`.

import { createInterface } from "node:readline";
import Anthropic from "@anthropic-ai/sdk";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { GoogleGenAI } from "@google/genai";
import { generateText, jsonSchema, streamText, tool } from "ai";
import { Ollama } from "ollama";
import OpenAI from "openai";

const tell = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const hear = (word) => word && tell({ word });

// What all dialects that are like OpenAI's are told.
const messages = (ask) => [
  ...(ask.system ? [{ role: "system", content: ask.system }] : []),
  ...ask.turns.map(([role, content]) => ({ role, content })),
];
const functions = (ask) => (ask.tool ? { tools: [{ type: "function", function: ask.tool }] } : {});

const sdks = {
  async openai(ask) {
    const sdk = new OpenAI({ baseURL: ask.address + "/v1", apiKey: ask.key, maxRetries: 0 });
    const asked = {
      model: ask.model,
      messages: messages(ask),
      max_completion_tokens: ask.max_tokens,
      temperature: ask.temperature,
      ...functions(ask),
    };
    let answer;
    if (ask.stream) {
      const stream = sdk.chat.completions.stream({ ...asked, stream_options: { include_usage: true } });
      stream.on("content", hear);
      answer = await stream.finalChatCompletion();
    } else {
      answer = await sdk.chat.completions.create(asked);
    }
    const { message, finish_reason: finish } = answer.choices[0];
    const calls = (message.tool_calls ?? []).map((one) => [one.id, one.function.name, JSON.parse(one.function.arguments)]);
    const { prompt_tokens: read, completion_tokens: written } = answer.usage;
    return { text: message.content ?? "", calls, finish, tokens: [read, written] };
  },

  async anthropic(ask) {
    const sdk = new Anthropic({ baseURL: ask.address, apiKey: ask.key, maxRetries: 0 });
    const asked = {
      model: ask.model,
      messages: ask.turns.map(([role, content]) => ({ role, content })),
      max_tokens: ask.max_tokens,
      ...(ask.system ? { system: ask.system } : {}),
      ...(ask.tool
        ? { tools: [{ name: ask.tool.name, description: ask.tool.description, input_schema: ask.tool.parameters }] }
        : {}),
    };
    let message;
    if (ask.stream) {
      const stream = sdk.messages.stream(asked);
      stream.on("text", hear);
      message = await stream.finalMessage();
    } else {
      message = await sdk.messages.create(asked);
    }
    const of = (kind) => message.content.filter((block) => block.type === kind);
    const { input_tokens: fresh, cache_read_input_tokens: cached, output_tokens: written } = message.usage;
    return {
      text: of("text").map((block) => block.text).join(""),
      calls: of("tool_use").map((block) => [block.id, block.name, block.input]),
      finish: { end_turn: "stop", tool_use: "tool_calls" }[message.stop_reason],
      tokens: [fresh + (cached ?? 0), written],
    };
  },

  async gemini(ask) {
    const sdk = new GoogleGenAI({ apiKey: ask.key, httpOptions: { baseUrl: ask.address } });
    const { parameters, ...described } = ask.tool ?? {};
    const asked = {
      model: ask.model,
      contents: ask.turns.map(([role, text]) => ({ role: role === "user" ? "user" : "model", parts: [{ text }] })),
      config: {
        maxOutputTokens: ask.max_tokens,
        temperature: ask.temperature,
        ...(ask.system ? { systemInstruction: ask.system } : {}),
        ...(ask.tool
          ? { tools: [{ functionDeclarations: [{ ...described, parametersJsonSchema: parameters }] }] }
          : {}),
      },
    };
    const parts = [];
    let finish, usage;
    const chunks = ask.stream
      ? await sdk.models.generateContentStream(asked)
      : [await sdk.models.generateContent(asked)];
    for await (const chunk of chunks) {
      const candidate = chunk.candidates?.[0];
      const fresh = candidate?.content?.parts ?? [];
      parts.push(...fresh);
      if (ask.stream) hear(fresh.map((part) => part.text ?? "").join(""));
      finish = candidate?.finishReason ?? finish;
      usage = chunk.usageMetadata ?? usage;
    }
    const calls = parts.filter((part) => part.functionCall).map(({ functionCall: one }) => [one.id ?? "", one.name, one.args]);
    return {
      text: parts.map((part) => part.text ?? "").join(""),
      calls,
      finish: finish === "STOP" ? (calls.length ? "tool_calls" : "stop") : "other",
      tokens: [usage.promptTokenCount, usage.candidatesTokenCount + (usage.thoughtsTokenCount ?? 0)],
    };
  },

  async ollama(ask) {
    const sdk = new Ollama({ host: ask.address, headers: { authorization: "Bearer " + ask.key } });
    const options = { num_predict: ask.max_tokens, temperature: ask.temperature };
    const asked = { model: ask.model, messages: messages(ask), options, ...functions(ask) };
    const chunks = ask.stream ? await sdk.chat({ ...asked, stream: true }) : [await sdk.chat(asked)];
    const calls = [];
    let text = "", last;
    for await (const chunk of chunks) {
      last = chunk;
      text += chunk.message.content;
      if (ask.stream) hear(chunk.message.content);
      calls.push(...(chunk.message.tool_calls ?? []).map((one) => ["", one.function.name, one.function.arguments]));
    }
    const finish = last.done && last.done_reason === "stop" ? (calls.length ? "tool_calls" : "stop") : "other";
    return { text, calls, finish, tokens: [last.prompt_eval_count, last.eval_count] };
  },

  async ai(ask) {
    const provider = createOpenAICompatible({
      name: "netrunner", baseURL: ask.address + "/v1", apiKey: ask.key, includeUsage: true,
    });
    const asked = {
      model: provider(ask.model),
      ...(ask.system ? { instructions: ask.system } : {}),
      messages: ask.turns.map(([role, content]) => ({ role, content })),
      maxOutputTokens: ask.max_tokens,
      temperature: ask.temperature,
      maxRetries: 0,
      ...(ask.tool
        ? { tools: { [ask.tool.name]: tool({ description: ask.tool.description, inputSchema: jsonSchema(ask.tool.parameters) }) } }
        : {}),
    };
    let answer;
    if (ask.stream) {
      answer = streamText({ ...asked, onError: () => {} });
      for await (const word of answer.textStream) hear(word);
    } else {
      answer = await generateText(asked);
    }
    const calls = (await answer.toolCalls).map((one) => [one.toolCallId, one.toolName, one.input]);
    const usage = await answer.usage;
    const finish = (await answer.finishReason).replace("tool-calls", "tool_calls");
    return { text: await answer.text, calls, finish, tokens: [usage.inputTokens, usage.outputTokens] };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line);
  try {
    tell({ result: await sdks[ask.sdk](ask) });
  } catch (error) {
    tell({ error: { status: error.status ?? error.status_code ?? null, message: String(error.stack ?? error) } });
  }
}
