import { commandsOf, type Detector, firstOf, lockedBy } from "./detector.ts";
import { readData } from "./read-data.ts";

/** Cargo. */
export const detectCargo: Detector = async (directory) => {
  if (!directory.names.has("Cargo.toml")) return [];
  const manifest = await readData(directory, "Cargo.toml", "toml");
  const workspace = manifest.at("workspace").present ? " --workspace" : "";
  const runs = manifest.at("package").present && (manifest.at("bin").present || directory.directories.has("src"));
  return [
    {
      ecosystem: "rust",
      manager: "cargo",
      manifest: "Cargo.toml",
      ...lockedBy(firstOf(directory, ["Cargo.lock"])),
      scripts: {},
      commands: commandsOf([
        ["install", directory.names.has("Cargo.lock") ? "cargo fetch --locked" : "cargo fetch"],
        ["build", `cargo build${workspace}`],
        ["test", `cargo test${workspace}`],
        ["lint", `cargo clippy${workspace} --all-targets`],
        ["format", "cargo fmt"],
        ["typecheck", `cargo check${workspace}`],
        ["run", runs ? "cargo run" : undefined],
      ]),
    },
  ];
};

/** Go modules and workspaces. */
export const detectGo: Detector = async (directory) => {
  const manifest = firstOf(directory, ["go.mod", "go.work"]);
  if (manifest === undefined) return [];
  const golangci = firstOf(directory, [".golangci.yml", ".golangci.yaml", ".golangci.toml"]) !== undefined;
  return [
    {
      ecosystem: "go",
      manager: "go",
      manifest,
      ...lockedBy(firstOf(directory, ["go.sum"])),
      scripts: {},
      commands: commandsOf([
        ["install", "go mod download"],
        ["build", "go build ./..."],
        ["test", "go test ./..."],
        ["lint", golangci ? "golangci-lint run" : "go vet ./..."],
        ["format", "gofmt -w ."],
      ]),
    },
  ];
};

/** .NET, by solution or project file. */
export const detectDotnet: Detector = async (directory) => {
  const manifest = [...directory.names].toSorted().find((name) => /\.(sln|slnx|csproj|fsproj|vbproj)$/.test(name));
  if (manifest === undefined) return [];
  return [
    {
      ecosystem: "dotnet",
      manager: "dotnet",
      manifest,
      ...lockedBy(firstOf(directory, ["packages.lock.json"])),
      scripts: {},
      commands: commandsOf([
        ["install", "dotnet restore"],
        ["build", "dotnet build"],
        ["test", "dotnet test"],
        ["lint", "dotnet format --verify-no-changes"],
        ["format", "dotnet format"],
      ]),
    },
  ];
};
