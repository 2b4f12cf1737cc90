{{- define "authsvc.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "authsvc.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "authsvc.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "authsvc.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "authsvc.selector" -}}
app.kubernetes.io/name: {{ include "authsvc.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "authsvc.labels" -}}
{{ include "authsvc.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "authsvc.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "authsvc.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "authsvc.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* The settings that are no secret, as a map of variables. */}}
{{- define "authsvc.settings" -}}
AUTHSVC_ENV: production
AUTHSVC_ISSUER: {{ .Values.issuer | quote }}
{{- with .Values.mail.from }}
AUTHSVC_MAIL_FROM: {{ . | quote }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* The settings that are secrets: paths of files in the mounted Secret. */}}
{{- define "authsvc.secretEnv" -}}
- name: AUTHSVC_DATABASE_URL_FILE
  value: /run/secrets/authsvc/database-url
- name: AUTHSVC_REDIS_URL_FILE
  value: /run/secrets/authsvc/redis-url
- name: AUTHSVC_MASTER_KEY_FILE
  value: /run/secrets/authsvc/master-key
{{- if .Values.mail.from }}
- name: AUTHSVC_SMTP_URL_FILE
  value: /run/secrets/authsvc/smtp-url
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "authsvc.volumes" -}}
- name: secrets
  secret:
    secretName: {{ .Values.secret.name }}
    defaultMode: 0440
    items:
      - key: {{ .Values.secret.keys.databaseUrl }}
        path: database-url
      - key: {{ .Values.secret.keys.redisUrl }}
        path: redis-url
      - key: {{ .Values.secret.keys.masterKey }}
        path: master-key
      {{- if .Values.mail.from }}
      - key: {{ .Values.secret.keys.smtpUrl }}
        path: smtp-url
      {{- end }}
- name: tmp
  emptyDir:
    sizeLimit: 16Mi
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "authsvc.volumeMounts" -}}
- name: secrets
  mountPath: /run/secrets/authsvc
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "authsvc.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "authsvc.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end }}

{{/* Where a pod may run; empty parts leave no trace. */}}
{{- define "authsvc.placement" -}}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A pod that runs one command and answers no requests; takes root, component, args, resources, and
     metricsPort where it shows its metrics and whether it lives. */}}
{{- define "authsvc.commandPod" -}}
serviceAccountName: {{ include "authsvc.serviceAccount" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "authsvc.podSecurityContext" .root | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: {{ .component }}
    image: {{ include "authsvc.image" .root }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    args: {{ .args | toJson }}
    {{- with .metricsPort }}
    ports:
      - name: metrics
        containerPort: {{ . }}
        protocol: TCP
    startupProbe:
      httpGet:
        path: /healthz
        port: metrics
      periodSeconds: 2
      failureThreshold: 60
    livenessProbe:
      httpGet:
        path: /healthz
        port: metrics
      periodSeconds: 10
      timeoutSeconds: 3
      failureThreshold: 3
    {{- end }}
    envFrom:
      - configMapRef:
          name: {{ include "authsvc.fullname" .root }}
    env:
      {{- include "authsvc.secretEnv" .root | nindent 6 }}
    securityContext:
      {{- include "authsvc.securityContext" .root | nindent 6 }}
    resources:
      {{- toYaml .resources | nindent 6 }}
    volumeMounts:
      {{- include "authsvc.volumeMounts" .root | nindent 6 }}
volumes:
  {{- include "authsvc.volumes" .root | nindent 2 }}
{{- with include "authsvc.placement" .root }}
{{ . }}
{{- end }}
{{- end }}
