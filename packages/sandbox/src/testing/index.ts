/** For tests of other packages: a real Docker engine of their own. */
export { startDockerEngine, type TestEngine } from "./docker-engine.ts";
