import { runBroker } from "./broker-process.ts";

await runBroker(process);
process.exit(0);
