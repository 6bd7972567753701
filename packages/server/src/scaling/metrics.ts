import type { Dispatcher } from "../pool/dispatcher.ts";
import type { RequestHandler } from "../rpc/listen.ts";

/**
 * Answers `GET /metrics` with the pool's state as Prometheus text (exposition format 0.0.4), and `GET /metrics.json` with the same as one JSON object, as autoscalers
 * of Kubernetes want it; everything else goes to `others`. Whoever may ask is decided before.
 */
export function withMetrics(pool: () => Dispatcher, others: RequestHandler): RequestHandler {
  return (request, response) => {
    const json = request.url === "/metrics.json";
    if (request.method !== "GET" || !(json || request.url === "/metrics")) return others(request, response);
    const facts = poolFacts(pool());
    response.setHeader("content-type", json ? "application/json" : "text/plain; version=0.0.4; charset=utf-8");
    response.end(json ? JSON.stringify(Object.fromEntries(facts.map(({ name, value }) => [name, value]))) : asPrometheus(facts));
  };
}

interface Fact {
  name: string;
  help: string;
  value: number;
}

function poolFacts(pool: Dispatcher): Fact[] {
  const { queued, running } = pool.counts;
  const members = [...pool.members.values()].filter(({ send }) => send !== undefined);
  const ready = members.filter(({ draining }) => !draining);
  const slots = ready.reduce((sum, { hello }) => sum + (hello.capacity?.slots ?? 0), 0);
  const load = ready.reduce((sum, member) => sum + member.load, 0);
  return [
    { name: "guildhall_tasks_queued", help: "Tasks that wait for a worker.", value: queued },
    { name: "guildhall_tasks_running", help: "Tasks that a worker has.", value: running },
    { name: "guildhall_tasks_open", help: "Tasks that wait or run: what workers are wanted for.", value: queued + running },
    { name: "guildhall_workers", help: "Workers that are connected.", value: members.length },
    { name: "guildhall_workers_draining", help: "Those of them that take nothing new.", value: members.length - ready.length },
    { name: "guildhall_slots", help: "Sessions that the others take at once.", value: slots },
    { name: "guildhall_workers_load", help: "Mean busy share of their CPUs.", value: ready.length === 0 ? 0 : load / ready.length },
  ];
}

function asPrometheus(facts: readonly Fact[]): string {
  return facts.map(({ name, help, value }) => `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${name} ${value}\n`).join("");
}
