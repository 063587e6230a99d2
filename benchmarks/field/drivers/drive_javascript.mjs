// Drives @aws-sdk/client-ecs with its default settings; a cancel is that of an AbortController.
import { createRequire } from "node:module";

const { ECSClient, RunTaskCommand, StartTaskCommand } = createRequire(process.cwd() + "/")("@aws-sdk/client-ecs");
const settings = JSON.parse(process.argv[2]);
const runs = settings.operation === "RunTask";
const client = new ECSClient({ endpoint: process.env.AWS_ENDPOINT_URL_ECS, region: process.env.AWS_REGION });

function say(number, outcome, arns = []) {
  console.log(JSON.stringify({ number, outcome, arns }));
}

async function start(number, abortSignal) {
  const asked = { taskDefinition: "demo", group: String(number) };
  if (!runs) asked.containerInstances = [settings.instances[number % settings.instances.length]];
  const command = runs ? new RunTaskCommand(asked) : new StartTaskCommand(asked);
  const answer = await client.send(command, { abortSignal });
  if (!answer.tasks?.length) throw new Error(JSON.stringify(answer.failures));
  return answer.tasks.map((task) => task.taskArn);
}

async function report(number, started) {
  try {
    say(number, "started", await started);
  } catch (error) {
    say(number, error.name === "AbortError" ? "cancelled" : "failed");
  }
}

let seed = settings.seed;
function chance() {
  seed = (seed * 48271) % 2147483647;
  return seed / 2147483647;
}

async function cancelled() {
  await start(settings.starts);
  const began = performance.now();
  await start(settings.starts);
  const longest = performance.now() - began;
  for (let number = 0; number < settings.starts; number += 1) {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), chance() * longest);
    await report(number, start(number, controller.signal));
    clearTimeout(timer);
  }
}

async function faulty() {
  let next = 0;
  async function work() {
    while (next < settings.starts) {
      const number = next;
      next += 1;
      await report(number, start(number));
    }
  }
  await Promise.all(Array.from({ length: settings.together }, work));
}

await (settings.storm === "cancelled" ? cancelled() : faulty());
