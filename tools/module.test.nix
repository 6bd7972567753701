# Evaluates deploy/module.nix with as much of nixpkgs' lib as it uses: what it gives for these options.
options:
let
  lib = rec {
    mkOption = option: option;
    mkEnableOption = what: { default = false; description = "Whether to enable ${what}."; };
    mkIf = condition: content: if condition then content else { };
    types = {
      path = "path";
      str = "string";
      listOf = of: "list of ${of}";
      attrsOf = of: "set of ${of}";
      nullOr = of: "null or ${of}";
      enum = builtins.concatStringsSep "|";
    };
    concatStringsSep = builtins.concatStringsSep;
    escapeShellArgs = args: concatStringsSep " " (map (arg: "'${arg}'") args);
    optionals = condition: list: if condition then list else [ ];
    optionalAttrs = condition: set: if condition then set else { };
  };
  pkgs = { nodejs_24 = "/nix/store/node"; git = "/nix/store/git"; bubblewrap = "/nix/store/bubblewrap"; bash = "/nix/store/bash"; };
  module = import ../deploy/module.nix { inherit lib pkgs config; };
  defaults = builtins.mapAttrs (_: option: option.default or null) module.options.services.guildhall;
  config.services.guildhall =
    assert builtins.all (name: builtins.hasAttr name defaults) (builtins.attrNames options);
    defaults // options;
in
{
  inherit (module) config;
  undescribed = builtins.filter (name: !(module.options.services.guildhall.${name} ? description)) (builtins.attrNames defaults);
}
