{{/* What KEDA reads queue lengths with, as a component: name and component. Returns JSON. */}}
{{- define "stalk.scaler" -}}
{{- toJson (dict "name" (include "stalk.name" (list . "scaler")) "component" "scaler") -}}
{{- end -}}

{{/* The part of the scaler's login that is no secret; KEDA takes every parameter from one. */}}
{{- define "stalk.scalerData" -}}
{{- $broker := include "stalk.broker" . | fromJson -}}
host: {{ printf "%s/" (trimSuffix "/" $broker.management.url) | quote }}
{{- if not $broker.management.username.secret }}
username: {{ $broker.management.username.text | quote }}
{{- end }}
{{- if include "stalk.scalerTls" . }}
tls: enable
{{- end }}
{{- end -}}

{{/* KEDA checks an https management API against the broker's CA. */}}
{{- define "stalk.scalerTls" -}}
{{- $broker := include "stalk.broker" . | fromJson -}}
{{- if and (hasPrefix "https://" $broker.management.url) $broker.tls.caSecret }}yes{{ end -}}
{{- end -}}

{{/* A TriggerAuthentication's secretTargetRef: each parameter, and the secret's key that holds it. */}}
{{- define "stalk.scalerParameters" -}}
{{- $own := include "stalk.name" (list . "scaler") -}}
{{- $broker := include "stalk.broker" . | fromJson -}}
{{- $m := $broker.management -}}
- {parameter: host, name: {{ $own }}, key: host}
- {parameter: username, name: {{ $m.username.secret | default $own | quote }}, key: {{ $m.username.key | default "username" | quote }}}
- {parameter: password, name: {{ $m.password.secret | quote }}, key: {{ $m.password.key | quote }}}
{{- if include "stalk.scalerTls" . }}
- {parameter: tls, name: {{ $own }}, key: tls}
- {parameter: ca, name: {{ $broker.tls.caSecret | quote }}, key: {{ $broker.tls.caKey | quote }}}
{{- end }}
{{- end -}}
