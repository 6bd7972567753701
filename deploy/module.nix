# NixOS module: Guildhall's services on one machine, or some of them.
#
#   services.guildhall = { enable = true; package = guildhall; services = [ "orchestrator" "worker" "models" "gateway" ]; };
{ config, lib, pkgs, ... }:
let
  cfg = config.services.guildhall;
in
{
  options.services.guildhall = {
    enable = lib.mkEnableOption "Guildhall";
    package = lib.mkOption {
      type = lib.types.path;
      description = "Directory of a built checkout: it holds dist/guild.js and node_modules.";
    };
    node = lib.mkOption {
      type = lib.types.path;
      default = "${pkgs.nodejs_24}/bin/node";
      description = "Node.js 24 or later.";
    };
    services = lib.mkOption {
      type = lib.types.listOf (lib.types.enum [ "gateway" "orchestrator" "worker" "models" "knowledge" ]);
      default = [ "orchestrator" "worker" "models" "knowledge" "gateway" ];
      description = "What runs here, in one process.";
    };
    listen = lib.mkOption {
      type = lib.types.str;
      default = "127.0.0.1:7400";
      description = "Address; others than loopback want certificates.";
    };
    join = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      description = "Orchestrators to join, where none runs here.";
    };
    settings = lib.mkOption {
      type = lib.types.attrsOf lib.types.str;
      default = { };
      example = { GUILD_WORKERS_MAX = "4"; };
      description = "Settings by their environment variables (guild config show). Not for secrets: they are readable in the store.";
    };
    environmentFile = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      description = "File with secrets: GUILD_SERVICES_TOKEN, DATABASE_URL, provider keys.";
    };
  };

  config = lib.mkIf cfg.enable {
    users.users.guildhall = {
      isSystemUser = true;
      group = "guildhall";
      home = "/var/lib/guildhall";
    };
    users.groups.guildhall = { };
    systemd.services.guildhall = {
      description = "Guildhall: ${lib.concatStringsSep ", " cfg.services}";
      wantedBy = [ "multi-user.target" ];
      after = [ "network-online.target" ];
      wants = [ "network-online.target" ];
      path = [ pkgs.git pkgs.bubblewrap pkgs.bash ];
      environment = {
        GUILD_HOME = "/var/lib/guildhall/home";
        XDG_RUNTIME_DIR = "/run/guildhall";
        XDG_CACHE_HOME = "/var/cache/guildhall";
      } // cfg.settings;
      serviceConfig = {
        ExecStart = lib.escapeShellArgs (
          [ "${cfg.node}" "${cfg.package}/dist/guild.js" "serve" ] ++ cfg.services
          ++ [ "--listen" cfg.listen ]
          ++ lib.optionals (cfg.join != null) [ "--join" cfg.join ]
        );
        User = "guildhall";
        Group = "guildhall";
        StateDirectory = "guildhall";
        RuntimeDirectory = "guildhall";
        CacheDirectory = "guildhall";
        # A worker's sandboxes get cgroups of their own.
        Delegate = true;
        KillMode = "mixed";
        TimeoutStopSec = 60;
        Restart = "on-failure";
        NoNewPrivileges = true;
        CapabilityBoundingSet = "";
        ProtectSystem = "full";
      } // lib.optionalAttrs (cfg.environmentFile != null) { EnvironmentFile = cfg.environmentFile; };
    };
  };
}
