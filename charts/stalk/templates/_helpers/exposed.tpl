{{/* What is the same for the two components with a page: API and Flower. All take (list $ component). */}}

{{- define "stalk.service" -}}
{{- $c := index . 1 -}}
{{- $s := $c.values.service -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "stalk.metadata" . | nindent 2 }}
  {{- with $s.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $s.type }}
  {{- if eq $s.type "LoadBalancer" }}
  {{- with $s.loadBalancerSourceRanges }}
  loadBalancerSourceRanges: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  selector: {{- include "stalk.selectorLabels" . | nindent 4 }}
  ports:
    - name: http
      port: {{ int $s.port }}
      targetPort: http
      protocol: TCP
      {{- with $s.nodePort }}
      nodePort: {{ int . }}
      {{- end }}
{{- end -}}

{{- define "stalk.path" -}}
{{- .values.ingress.path | default .values.urlPrefix | default "/" -}}
{{- end -}}

{{- define "stalk.ingress" -}}
{{- $c := index . 1 -}}
{{- $i := $c.values.ingress -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "stalk.metadata" . | nindent 2 }}
  {{- with $i.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with $i.className }}
  ingressClassName: {{ . | quote }}
  {{- end }}
  {{- with $i.tls }}
  tls: {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    {{- range $i.hosts | default (list "") }}
    - http:
        paths:
          - path: {{ include "stalk.path" $c | quote }}
            pathType: Prefix
            backend:
              service:
                name: {{ $c.name }}
                port:
                  name: http
      {{- with . }}
      host: {{ . | quote }}
      {{- end }}
    {{- end }}
{{- end -}}

{{- define "stalk.httpRoute" -}}
{{- $c := index . 1 -}}
{{- $r := $c.values.httpRoute -}}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  {{- include "stalk.metadata" . | nindent 2 }}
  {{- with $r.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  parentRefs: {{- toYaml $r.parentRefs | nindent 4 }}
  {{- with $r.hostnames }}
  hostnames: {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    - matches:
        - path:
            type: PathPrefix
            value: {{ $r.path | default $c.values.urlPrefix | default "/" | quote }}
      backendRefs:
        - name: {{ $c.name }}
          port: {{ int $c.values.service.port }}
{{- end -}}

{{/* A monitor's metadata, with the labels by which Prometheus selects it (list $ component). */}}
{{- define "stalk.monitorMetadata" -}}
{{ include "stalk.metadata" . }}
{{- with include "stalk.merge" (list dict (index . 0).Values.metrics.labels) | fromJson }}
{{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A ServiceMonitor (list $ component "/metrics" "http"). */}}
{{- define "stalk.serviceMonitor" -}}
{{- $root := index . 0 -}}
{{- $c := index . 1 -}}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "stalk.monitorMetadata" (list $root $c) | nindent 2 }}
spec:
  selector:
    matchLabels: {{- include "stalk.selectorLabels" (list $root $c) | nindent 6 }}
  endpoints:
    - port: {{ index . 3 }}
      path: {{ index . 2 }}
      {{- include "stalk.monitorEndpoint" $root | nindent 6 }}
      {{- if gt (len .) 4 }}
      {{- index . 4 | nindent 6 }}
      {{- end }}
{{- end -}}

{{/* What every endpoint of a monitor has: how often it is read, and by which release all of it is found again. */}}
{{- define "stalk.monitorEndpoint" -}}
interval: {{ .Values.metrics.interval }}
relabelings:
  - {targetLabel: stalk_release, replacement: {{ .Release.Name | quote }}}
{{- end -}}

{{/* Keeps a pod serving while it leaves the endpoints. The native action needs no program in the image. */}}
{{- define "stalk.drain" -}}
{{- $seconds := int (index . 1).values.drainSeconds -}}
{{- if $seconds -}}
lifecycle:
  preStop:
    {{- if semverCompare ">=1.30.0-0" (index . 0).Capabilities.KubeVersion.Version }}
    sleep: {seconds: {{ $seconds }}}
    {{- else }}
    exec: {command: [sleep, "{{ $seconds }}"]}
    {{- end }}
{{- end -}}
{{- end -}}

{{/* The API's environment. Kubernetes puts $(PORT) into the command; `stalk dead-letters` in this pod reads app and queues.
     Returns JSON. */}}
{{- define "stalk.apiEnv" -}}
{{- $env := include "stalk.connectionEnv" . | fromJson -}}
{{- $_ := set $env "PORT" (toString (int .Values.api.port)) -}}
{{- $_ := set $env "STALK_APP" .Values.celery.app -}}
{{- $_ := set $env "STALK_QUEUES" (toJson (include "stalk.queues" . | fromJson).items) -}}
{{- toJson $env -}}
{{- end -}}
