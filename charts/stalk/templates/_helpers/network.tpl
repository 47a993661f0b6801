{{/* A whole NetworkPolicy (list $ component ingress egress), with lists of rules as JSON {items}; DNS is always allowed out
     unless egress is empty. A fifth item is a map of annotations. */}}
{{- define "stalk.networkPolicy" -}}
{{- $root := index . 0 -}}
{{- $c := index . 1 -}}
{{- $own := $c.values.networkPolicy -}}
{{- $ingress := concat (index . 2) ($own.extraIngress | default list) -}}
{{- $egress := concat (index . 3) ($own.extraEgress | default list) -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "stalk.metadata" (list $root $c) | nindent 2 }}
  {{- if gt (len .) 4 }}
  annotations: {{- toYaml (index . 4) | nindent 4 }}
  {{- end }}
spec:
  podSelector:
    matchLabels: {{- include "stalk.selectorLabels" (list $root $c) | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress: {{- include "stalk.items" $ingress | nindent 4 }}
  egress: {{- include "stalk.items" $egress | nindent 4 }}
{{- end -}}

{{/* A list as YAML; an empty one as [], where null would be read as "not said". */}}
{{- define "stalk.items" -}}
{{- if . }}{{ toYaml . }}{{ else }}[]{{ end -}}
{{- end -}}

{{/* One rule (list "to" peers ports): a list of one map, without peers when there are none. Returns JSON {items}. */}}
{{- define "stalk.rule" -}}
{{- $ports := list -}}
{{- range index . 2 }}{{ $ports = append $ports (dict "protocol" "TCP" "port" (int .)) }}{{ end -}}
{{- $rule := dict "ports" $ports -}}
{{- with index . 1 }}{{ $_ := set $rule (index $ 0) . }}{{ end -}}
{{- toJson (dict "items" (list $rule)) -}}
{{- end -}}

{{/* Peers of this release by component (list $ "api" "worker"). Returns JSON {items}. */}}
{{- define "stalk.peers" -}}
{{- $root := index . 0 -}}
{{- $labels := dict "app.kubernetes.io/name" (include "stalk.chartName" $root) "app.kubernetes.io/instance" $root.Release.Name -}}
{{- $in := dict "key" "app.kubernetes.io/component" "operator" "In" "values" (rest .) -}}
{{- $selector := dict "matchLabels" $labels "matchExpressions" (list $in) -}}
{{- toJson (dict "items" (list (dict "podSelector" $selector))) -}}
{{- end -}}

{{/* The egress rules for DNS. Returns JSON {items}. */}}
{{- define "stalk.dnsEgress" -}}
{{- $ports := list (dict "protocol" "UDP" "port" 53) (dict "protocol" "TCP" "port" 53) -}}
{{- toJson (dict "items" (list (dict "ports" $ports))) -}}
{{- end -}}

{{/* Egress of the app's pods (list $ "broker" "results" "management"): DNS and what is named. Bundled servers are reached by
     their pods, external ones by their port: their addresses are not known here. Returns JSON {items}. */}}
{{- define "stalk.appEgress" -}}
{{- $root := index . 0 -}}
{{- $rules := (include "stalk.dnsEgress" $root | fromJson).items -}}
{{- if has "broker" . -}}
{{- $port := (include "stalk.broker" $root | fromJson).port -}}
{{- $peers := list -}}
{{- if $root.Values.rabbitmq.enabled }}{{ $peers = (include "stalk.peers" (list $root "rabbitmq") | fromJson).items }}{{ end -}}
{{- $rules = concat $rules (include "stalk.rule" (list "to" $peers (list $port)) | fromJson).items -}}
{{- end -}}
{{- if has "management" . -}}
{{- $rules = concat $rules (include "stalk.managementEgress" $root | fromJson).items -}}
{{- end -}}
{{- if has "results" . -}}
{{- $port := (include "stalk.results" $root | fromJson).port -}}
{{- $peers := list -}}
{{- if $root.Values.redis.enabled }}{{ $peers = (include "stalk.peers" (list $root "redis") | fromJson).items }}{{ end -}}
{{- $rules = concat $rules (include "stalk.rule" (list "to" $peers (list $port)) | fromJson).items -}}
{{- end -}}
{{- toJson (dict "items" $rules) -}}
{{- end -}}

{{- define "stalk.managementEgress" -}}
{{- if .Values.rabbitmq.enabled -}}
{{- $peers := (include "stalk.peers" (list . "rabbitmq") | fromJson).items -}}
{{- include "stalk.rule" (list "to" $peers (list (include "stalk.rabbitmqPorts" . | fromJson).management)) -}}
{{- else if .Values.externalRabbitmq.management.url -}}
{{- $url := urlParse .Values.externalRabbitmq.management.url -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- include "stalk.rule" (list "to" list (list $port)) -}}
{{- else -}}
{{- toJson (dict "items" list) -}}
{{- end -}}
{{- end -}}

{{/* Ingress from anybody, or from component.networkPolicy.from (list component port). Returns JSON {items}. */}}
{{- define "stalk.openIngress" -}}
{{- $c := index . 0 -}}
{{- include "stalk.rule" (list "from" ($c.values.networkPolicy.from | default list) (list (index . 1))) -}}
{{- end -}}

{{/* Ingress for Prometheus (list $ port). Returns JSON {items}. */}}
{{- define "stalk.metricsIngress" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.metrics.enabled -}}
{{- $anywhere := list (dict "namespaceSelector" dict) -}}
{{- include "stalk.rule" (list "from" ($root.Values.networkPolicy.metricsFrom | default $anywhere) (list (index . 1))) -}}
{{- else -}}
{{- toJson (dict "items" list) -}}
{{- end -}}
{{- end -}}
