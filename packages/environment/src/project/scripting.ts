import { commandsOf, type Detector, firstOf, lockedBy } from "./detector.ts";
import { readData } from "./read-data.ts";

/** Bundler. */
export const detectBundler: Detector = async (directory) => {
  const manifest = firstOf(directory, ["Gemfile", "gems.rb"]);
  if (manifest === undefined) return [];
  const text = (await directory.read(manifest)) ?? "";
  const uses = (gem: string) => new RegExp(`^\\s*gem\\s+["']${gem}["']`, "m").test(text);
  const rspec = uses("rspec") || uses("rspec-rails") || directory.names.has(".rspec");
  const rails = uses("rails");
  const rake = directory.names.has("Rakefile");
  const rubocop = uses("rubocop") || directory.names.has(".rubocop.yml");
  return [
    {
      ecosystem: "ruby",
      manager: "bundler",
      manifest,
      ...lockedBy(firstOf(directory, ["Gemfile.lock", "gems.locked"])),
      scripts: {},
      commands: commandsOf([
        ["install", "bundle install"],
        ["test", rspec ? "bundle exec rspec" : rails ? "bin/rails test" : rake ? "bundle exec rake test" : undefined],
        ["lint", rubocop ? "bundle exec rubocop" : undefined],
        ["format", rubocop ? "bundle exec rubocop -a" : undefined],
        ["run", rails ? "bin/rails server" : undefined],
      ]),
    },
  ];
};

/** Composer. */
export const detectComposer: Detector = async (directory) => {
  if (!directory.names.has("composer.json")) return [];
  const manifest = await readData(directory, "composer.json", "json");
  const scripts = Object.fromEntries(
    manifest.at("scripts").entries.flatMap(([name, script]) => {
      const command = script.text ?? script.items.flatMap((item) => item.text ?? []).join(" && ");
      return command === "" ? [] : [[name, command]];
    }),
  );
  const has = (name: string) => manifest.at("require", name).present || manifest.at("require-dev", name).present;
  const script = (name: string) => (Object.hasOwn(scripts, name) ? `composer run ${name}` : undefined);
  const phpunit = has("phpunit/phpunit") || firstOf(directory, ["phpunit.xml", "phpunit.xml.dist"]) !== undefined;
  const style = has("friendsofphp/php-cs-fixer") ? "vendor/bin/php-cs-fixer fix" : has("laravel/pint") ? "vendor/bin/pint" : undefined;
  return [
    {
      ecosystem: "php",
      manager: "composer",
      manifest: "composer.json",
      ...lockedBy(firstOf(directory, ["composer.lock"])),
      scripts,
      commands: commandsOf([
        ["install", "composer install"],
        ["test", script("test") ?? (has("pestphp/pest") ? "vendor/bin/pest" : phpunit ? "vendor/bin/phpunit" : undefined)],
        ["lint", script("lint") ?? (has("phpstan/phpstan") ? "vendor/bin/phpstan analyse" : undefined)],
        ["format", script("format") ?? style],
      ]),
    },
  ];
};

/** Mix. */
export const detectMix: Detector = async (directory) => {
  if (!directory.names.has("mix.exs")) return [];
  const text = (await directory.read("mix.exs")) ?? "";
  return [
    {
      ecosystem: "elixir",
      manager: "mix",
      manifest: "mix.exs",
      ...lockedBy(firstOf(directory, ["mix.lock"])),
      scripts: {},
      commands: commandsOf([
        ["install", "mix deps.get"],
        ["build", "mix compile"],
        ["test", "mix test"],
        ["lint", /:credo\b/.test(text) ? "mix credo" : "mix compile --warnings-as-errors"],
        ["format", "mix format"],
        ["typecheck", /:dialyxir\b/.test(text) ? "mix dialyzer" : undefined],
        ["run", /:phoenix\b/.test(text) ? "mix phx.server" : undefined],
      ]),
    },
  ];
};
