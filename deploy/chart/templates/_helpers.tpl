{{- define "guildhall.labels" -}}
app.kubernetes.io/name: guildhall
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "guildhall.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "guildhall.port" -}}
{{ get (dict "gateway" 7400 "orchestrator" 7401 "worker" 7402 "models" 7403 "knowledge" 7404) . }}
{{- end }}

{{/* What holds for every pod: no root, no capability, nothing writable but its volumes. Argument: dict root, seccomp. */}}
{{- define "guildhall.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: 60
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: {{ .seccomp }} }
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The container of a service. Argument: dict root, name, args, env, resources, mounts. */}}
{{- define "guildhall.container" -}}
- name: {{ .name }}
  image: {{ include "guildhall.image" .root }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args: [serve, {{ .name }}, --listen, "0.0.0.0:{{ include "guildhall.port" .name }}"{{ range .args }}, {{ . | quote }}{{ end }}]
  ports: [{ name: grpc, containerPort: {{ include "guildhall.port" .name }} }]
  env:
    - name: GUILD_SERVICES_TOKEN
      valueFrom: { secretKeyRef: { name: {{ .root.Values.existingSecret }}, key: token } }
    - { name: GUILD_SERVICES_CERTS, value: /certs }
    - { name: GUILD_SERVICES_HOSTS, value: {{ .root.Values.gateway.hosts | quote }} }
    {{- if ne .name "models" }}
    - { name: GUILD_SERVICES_MODELS, value: "https://{{ .root.Release.Name }}-models:7403" }
    {{- end }}
    {{- with .env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .envFrom }}
  envFrom: [{ secretRef: { name: {{ . }} } }]
  {{- end }}
  readinessProbe: { tcpSocket: { port: grpc }, periodSeconds: 5 }
  livenessProbe: { tcpSocket: { port: grpc }, periodSeconds: 20, failureThreshold: 6 }
  resources: {{ toYaml .resources | nindent 4 }}
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: { drop: [ALL] }
    {{- if ne (default "Default" .procMount) "Default" }}
    procMount: {{ .procMount }}
    {{- end }}
  volumeMounts:
    - { name: home, mountPath: /var/lib/guildhall }
    - { name: tmp, mountPath: /tmp }
    - { name: certs, mountPath: /certs, readOnly: true }
    {{- with .mounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* Argument: dict root, name. */}}
{{- define "guildhall.certs" -}}
- name: certs
  secret: { secretName: {{ .root.Values.certificates.secretPrefix }}-{{ .name }}, defaultMode: 288 }
- { name: tmp, emptyDir: {} }
{{- end }}
