import type { ServiceFacts } from "@guildhall/core";

import { firstOf, type ProjectDirectory } from "./detector.ts";
import { readData } from "./read-data.ts";

const FILES = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/** Services of a Compose file and programs of a Procfile. */
export async function detectServices(directory: ProjectDirectory): Promise<ServiceFacts[]> {
  const services: ServiceFacts[] = [];
  const compose = firstOf(directory, FILES);
  if (compose !== undefined) {
    const data = await readData(directory, compose, "yaml");
    for (const [name, service] of data.at("services").entries) {
      const ports = service.at("ports").items.flatMap((one) => published(one.text ?? one.at("published").text ?? ""));
      services.push({ name, image: service.at("image").text ?? "", ports, file: compose });
    }
  }
  if (directory.names.has("Procfile")) {
    for (const line of ((await directory.read("Procfile")) ?? "").split("\n")) {
      const name = /^([\w-]+):\s*\S/.exec(line)?.[1];
      if (name !== undefined) services.push({ name, image: "", ports: [], file: "Procfile" });
    }
  }
  return services.slice(0, MOST);
}

const MOST = 50;

/** `8080:80`, `127.0.0.1:8080:80/tcp`, `8080`: the port of the machine. */
function published(text: string): number[] {
  const parts = text.split("/")[0]?.split(":") ?? [];
  const port = Number(parts.length > 1 ? parts.at(-2) : parts[0]);
  return Number.isInteger(port) && port > 0 && port < 65_536 ? [port] : [];
}
