// Reads {"baseURL", "calls": [{"method", "body", "headers", "leave"}]} from stdin, and writes what `openai` for Node makes
// of each answer: {"value"}, {"events"} of a stream, or the {"error"} that it throws. `leave`: the number of events after
// which it leaves the stream.
"use strict";

const { readFileSync } = require("node:fs");
const { OpenAI, APIError } = require("openai");

async function answer(client, { method, body, headers, leave }) {
  const [name, api] = method.split(".").reverse();
  const owner = api === "completions" && method.startsWith("chat.") ? client.chat.completions : client[api];
  try {
    const value = await owner[name](body, { headers });
    if (!body.stream) {
      return { value };
    }
    const events = [];
    for await (const event of value) {
      events.push(event);
      if (events.length === leave) {
        value.controller.abort();
      }
    }
    return { events };
  } catch (error) {
    if (!(error instanceof APIError)) {
      throw error;
    }
    return { error: { name: error.constructor.name, status: error.status, body: error.error } };
  }
}

async function main() {
  const { baseURL, calls } = JSON.parse(readFileSync(0, "utf8"));
  const client = new OpenAI({ baseURL, apiKey: "unused", maxRetries: 0 });
  const answers = [];
  for (const call of calls) {
    answers.push(await answer(client, call));
  }
  process.stdout.write(JSON.stringify(answers));
}

main();
