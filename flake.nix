{
  description = "Guildhall: a self-hosted workshop of AI software engineers";

  # No flake.lock yet: docs/decisions/0009-flake-without-lock.md says why, and when it comes.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEachSystem = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
    in
    {
      # Everything that `npm test` and `./guild` need; npm packages come from the lock file as everywhere.
      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.nodejs_24
            pkgs.bubblewrap
            pkgs.ripgrep
            pkgs.socat
            pkgs.git
            pkgs.gnumake
            pkgs.gcc
            pkgs.glibc.static
            pkgs.libseccomp
            pkgs.util-linux
            pkgs.curl
            pkgs.iproute2
            pkgs.procps
            pkgs.python3
            pkgs.postgresql_18
          ];
          shellHook = ''
            export PATH="$PWD/node_modules/.bin:$PATH"
          '';
        };
      });

      formatter = forEachSystem (pkgs: pkgs.nixfmt-rfc-style);
    };
}
