import { commandsOf, type Detector, firstOf, lockedBy } from "./detector.ts";

/** Maven and Gradle, by their wrappers where the project has them. */
export const detectJvm: Detector = async (directory) => {
  const found: Awaited<ReturnType<Detector>> = [];
  if (directory.names.has("pom.xml")) {
    const mvn = directory.names.has("mvnw") ? "./mvnw" : "mvn";
    const pom = (await directory.read("pom.xml")) ?? "";
    const lint = pom.includes("maven-checkstyle-plugin") ? `${mvn} checkstyle:check` : undefined;
    const spotless = pom.includes("spotless-maven-plugin");
    found.push({
      ecosystem: "jvm",
      manager: "maven",
      manifest: "pom.xml",
      scripts: {},
      commands: commandsOf([
        ["install", `${mvn} -B dependency:resolve`],
        ["build", `${mvn} -B package -DskipTests`],
        ["test", `${mvn} -B test`],
        ["lint", lint ?? (spotless ? `${mvn} spotless:check` : undefined)],
        ["format", spotless ? `${mvn} spotless:apply` : undefined],
      ]),
    });
  }
  const script = firstOf(directory, ["build.gradle", "build.gradle.kts"]) ?? firstOf(directory, ["settings.gradle", "settings.gradle.kts"]);
  if (script !== undefined) {
    const gradle = directory.names.has("gradlew") ? "./gradlew" : "gradle";
    const text = (await directory.read(script)) ?? "";
    const spotless = text.includes("spotless");
    found.push({
      ecosystem: "jvm",
      manager: "gradle",
      manifest: script,
      ...lockedBy(firstOf(directory, ["gradle.lockfile"])),
      scripts: {},
      commands: commandsOf([
        ["install", `${gradle} dependencies`],
        ["build", `${gradle} assemble`],
        ["test", `${gradle} test`],
        ["lint", `${gradle} check -x test`],
        ["format", spotless ? `${gradle} spotlessApply` : undefined],
        ["run", /\bapplication\b/.test(text) ? `${gradle} run` : undefined],
      ]),
    });
  }
  return found;
};
