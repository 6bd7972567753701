import { commandsOf, type Detector, firstOf, lockedBy, type ProjectDirectory } from "./detector.ts";
import { type Data, readData } from "./read-data.ts";

/** uv, Poetry, PDM, Pipenv, Hatch and pip. */
export const detectPython: Detector = async (directory) => {
  const requirements = [...directory.names].filter((name) => /^requirements([-_.].*)?\.txt$/.test(name)).toSorted();
  const manifest = firstOf(directory, ["pyproject.toml", "Pipfile", "setup.py", "setup.cfg"]) ?? requirements[0];
  if (manifest === undefined) return [];
  const project = await readData(directory, "pyproject.toml", "toml");
  const { manager, lock, install, run } = manage(directory, project, requirements);
  const names = await dependencyNames(directory, project, requirements);
  const uses = (tool: string) => names.has(tool) || project.at("tool", tool).present;
  const pytest = uses("pytest") || directory.names.has("pytest.ini") || directory.names.has("conftest.py");
  const tests = pytest
    ? "pytest"
    : directory.directories.has("tests") || directory.directories.has("test")
      ? "python -m unittest"
      : undefined;
  const tox = directory.names.has("tox.ini") ? "tox" : directory.names.has("noxfile.py") ? "nox" : undefined;
  const ruff = uses("ruff") || directory.names.has("ruff.toml") || directory.names.has(".ruff.toml");
  const flake8 = uses("flake8") || directory.names.has(".flake8");
  const lint = ruff ? "ruff check ." : flake8 ? "flake8" : uses("pylint") ? "pylint ." : undefined;
  const format = uses("black") ? "black ." : ruff ? "ruff format ." : undefined;
  const types =
    uses("mypy") || directory.names.has("mypy.ini")
      ? "mypy ."
      : uses("pyright") || directory.names.has("pyrightconfig.json")
        ? "pyright"
        : undefined;
  const by = (command: string | undefined) => (command === undefined ? undefined : run + command);
  const scripts = { ...project.at("project", "scripts").texts, ...project.at("tool", "poetry", "scripts").texts };
  const build = project.at("build-system").present
    ? manager === "uv" || manager === "poetry"
      ? `${manager} build`
      : "python -m build"
    : undefined;
  return [
    {
      ecosystem: "python",
      manager,
      manifest,
      ...lockedBy(lock),
      scripts,
      commands: commandsOf([
        ["install", install],
        ["build", build],
        ["test", by(tests) ?? tox],
        ["lint", by(lint)],
        ["format", by(format)],
        ["typecheck", by(types)],
      ]),
    },
  ];
};

function manage(
  directory: ProjectDirectory,
  project: Data,
  requirements: readonly string[],
): { manager: string; lock: string | undefined; install: string; run: string } {
  const has = (name: string) => directory.names.has(name);
  if (has("uv.lock") || project.at("tool", "uv").present)
    return {
      manager: "uv",
      lock: firstOf(directory, ["uv.lock"]),
      install: has("uv.lock") ? "uv sync --locked" : "uv sync",
      run: "uv run ",
    };
  if (has("poetry.lock") || project.at("tool", "poetry").present)
    return { manager: "poetry", lock: firstOf(directory, ["poetry.lock"]), install: "poetry install", run: "poetry run " };
  if (has("pdm.lock") || project.at("tool", "pdm").present)
    return { manager: "pdm", lock: firstOf(directory, ["pdm.lock"]), install: "pdm install", run: "pdm run " };
  if (has("Pipfile")) return { manager: "pipenv", lock: firstOf(directory, ["Pipfile.lock"]), install: "pipenv sync", run: "pipenv run " };
  const own = requirements.map((name) => `-r ${name}`).join(" ");
  return { manager: "pip", lock: undefined, install: own === "" ? "pip install -e ." : `pip install ${own}`, run: "" };
}

/** Names of everything that the project depends on, groups for development included. */
async function dependencyNames(directory: ProjectDirectory, project: Data, requirements: readonly string[]): Promise<Set<string>> {
  const lists = [
    project.at("project", "dependencies"),
    ...project.at("project", "optional-dependencies").entries.map(([, list]) => list),
    ...project.at("dependency-groups").entries.map(([, list]) => list),
    project.at("tool", "uv", "dev-dependencies"),
  ];
  const poetry = project.at("tool", "poetry");
  const tables = [poetry.at("dependencies"), poetry.at("dev-dependencies")];
  for (const [, group] of poetry.at("group").entries) tables.push(group.at("dependencies"));
  const texts = await Promise.all(requirements.map((name) => directory.read(name)));
  const lines = [
    ...lists.flatMap((list) => list.items.map((item) => item.text ?? "")),
    ...texts.flatMap((text) => (text ?? "").split("\n")),
  ];
  const named = lines.flatMap((line) => /^\s*([A-Za-z0-9][\w.-]*)/.exec(line)?.[1]?.toLowerCase() ?? []);
  return new Set([...named, ...tables.flatMap((table) => table.keys.map((key) => key.toLowerCase()))]);
}
