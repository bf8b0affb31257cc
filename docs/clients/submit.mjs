// Submits a Job over NATS, follows it to its end, and prints what its pods wrote.
//
//     npm install @nats-io/transport-node
//     NATS_URL=nats://127.0.0.1:4222 node submit.mjs [NAME [NAMESPACE]]

import { connect, createInbox, headers } from "@nats-io/transport-node";

const [name = "from-javascript", namespace = "default"] = process.argv.slice(2);
const job = {
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: { name },
  spec: {
    completionMode: "Indexed",
    completions: 3,
    parallelism: 3,
    template: { spec: { restartPolicy: "Never", containers: [{
      name: "main",
      image: "host",
      command: ["sh", "-c", "echo index $JOB_COMPLETION_INDEX of JavaScript"],
    }] } },
  },
};
const silence = 20_000; // A stream says something every five seconds.

const nc = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" });
const subject = (rest) => `stint.v1.${namespace}.${rest}`;

function options(values) {
  const all = headers();
  for (const [key, value] of Object.entries(values)) all.set(key, value);
  return all;
}

// One request, one answer. An error is a Status, and its code is in a header.
async function ask(what, body, values = {}) {
  const payload = body === undefined ? "" : JSON.stringify(body);
  const answer = await nc.request(subject(what), payload, { timeout: 10_000, headers: options(values) });
  return [Number(answer.headers?.get("Nats-Service-Error-Code") || 200), answer.json()];
}

// The messages of a watch or a log, until its end.
async function* stream(what, values = {}) {
  const inbox = createInbox();
  const messages = nc.subscribe(inbox, { timeout: 0 });
  nc.publish(subject(what), "", { reply: inbox, headers: options(values) });
  let silent;
  const wait = () => {
    clearTimeout(silent);
    silent = setTimeout(() => messages.unsubscribe(), silence);
  };
  wait();
  try {
    for await (const message of messages) {
      wait();
      if (message.headers?.has("Nats-Service-Error-Code")) throw new Error(message.json().message);
      if (message.headers?.has("Stint-End")) return;
      if (!message.headers?.has("Stint-Heartbeat")) yield message;
    }
    throw new Error("nothing was heard for 20 s");
  } finally {
    clearTimeout(silent);
    messages.unsubscribe();
  }
}

// Watches the Job until it is Complete or has Failed, whatever becomes of single watches.
async function outcome() {
  for (;;) {
    try {
      for await (const message of stream("jobs.watch", { fieldSelector: `metadata.name=${name}` })) {
        const { type, object } = message.json();
        const { active = 0, succeeded = 0, failed = 0, conditions = [] } = object.status ?? {};
        console.log(type, { active, succeeded, failed });
        if (type === "DELETED") return "Deleted";
        const over = conditions.find((it) => ["Complete", "Failed"].includes(it.type) && it.status === "True");
        if (over) return over.type;
      }
    } catch (error) {
      console.error("the watch begins again:", error.message);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

const [code, answer] = await ask("jobs.create", job);
// A name is given once. So who asked, and heard no answer, may just ask again.
if (code !== 200 && code !== 409) {
  console.error(`error ${code}: ${answer.message}`);
  process.exit(1);
}
const end = await outcome();
const [, pods] = await ask("pods.list", undefined, { labelSelector: `job-name=${name}` });
for (const pod of pods.items) {
  for await (const piece of stream(`pods/log.get.${pod.metadata.name}`)) process.stdout.write(piece.string());
}
await nc.close();
console.log(end);
process.exitCode = end === "Complete" ? 0 : 1;
