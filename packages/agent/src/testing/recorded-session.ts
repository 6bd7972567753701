import { ModelError } from "@guildhall/core";
import { Control } from "@guildhall/protocol";

import { does, finishes, Harness, looks } from "./harness.ts";

/** A session with a bit of everything: parallel, refused and dependent calls, a question, a pause, a nudge, a failing model, a crash, two turns. */
export async function makeRecording(): Promise<Harness> {
  let cuts = 0;
  const session = await Harness.start(
    [
      { text: "Look around.", calls: [looks("a"), looks("b", { size: 200 })], usage: { input: 1_000, output: 50, costUsd: 0.01 } },
      { calls: [does("c"), { tool: "do", args: '{"name' }, does("d", { alone: true })] },
      () => (cuts++ === 0 ? new ModelError("cut", "the stream was cut") : { text: "I think that is it." }),
      { calls: [does("risky", { risk: "high" }), looks("e"), looks("risky")] },
      { calls: [{ tool: "task_tracker", args: { command: "plan", tasks: [{ title: "one", status: "todo" }] } }] },
      { calls: [does("f", { fail: true })] },
      finishes("the first goal is reached"),
      finishes("nothing more to do", false),
    ],
    { approvalPolicy: "risky", limits: { maxSteps: 50, maxCostUsd: 5 } },
  );
  await session.run();
  await session.decide(true);
  let hits = 0;
  const dying = {
    hit: (name: string) => (name === "tool:after" && ++hits === 1 ? Promise.reject(new RangeError("dies here")) : undefined),
  };
  await session.run({ faults: dying }).catch(() => undefined);
  session.world.during = async (name) => {
    if (name === "f") await session.control(Control.PAUSE);
    if (name === "risky") await session.say("By the way: be careful.");
  };
  await session.run();
  session.world.during = undefined;
  await session.control(Control.RESUME);
  await session.run({ toolsKept: true });
  await session.say("And the second?");
  await session.run({ toolsKept: true });
  return session;
}
