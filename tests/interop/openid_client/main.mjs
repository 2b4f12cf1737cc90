// An app that uses openid-client. Its first line of standard input is what it is given: the
// provider, itself as it is or wants to be registered, and the names of the steps to take.
// Where a person is needed it prints {"visit": url} and reads the request with which their
// browser came back, or {"open": url} and reads a line when they are done. At the end it
// prints {"done": {step: what was found}}; a step that fails ends it.
import "./webcrypto.mjs";
import { createInterface } from "node:readline";
import { connect } from "./app.mjs";
import { steps } from "./steps.mjs";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function read() {
  const { value, done } = await lines.next();
  if (done) throw new Error("standard input ended");
  return JSON.parse(value);
}

function print(document) {
  process.stdout.write(`${JSON.stringify(document)}\n`);
}

async function visit(url) {
  print({ visit: url.href });
  const { method, url: back, body } = await read();
  if (method === "GET") return new URL(back);
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  return new Request(back, { method, headers, body });
}

async function open(url) {
  print({ open: url.href });
  await read();
}

const given = await read();
const app = await connect(given, { visit, open });
const found = {};
for (const step of given.steps) found[step] = await steps[step](app);
print({ done: found });
process.exit(0);
