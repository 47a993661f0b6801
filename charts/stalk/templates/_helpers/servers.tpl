{{/* What the bundled servers have in common, and volumes. */}}

{{/* A small container of the toolkit's image before a bundled server starts
     (list $ component name command env mounts). */}}
{{- define "stalk.toolkitInit" -}}
{{- $root := index . 0 -}}
{{- $toolkit := $root.Values.toolkit -}}
{{- $security := dict "values" (dict "securityContext" (index . 1).values.securityContext "resources" $toolkit.resources) -}}
- name: {{ index . 2 }}
  image: {{ include "stalk.image" (list $root $toolkit.image) | quote }}
  imagePullPolicy: {{ $toolkit.image.pullPolicy }}
  {{- include "stalk.block" (list 2 (include "stalk.containerSecurity" $security)) }}
  command: {{- toYaml (index . 3) | nindent 4 }}
  {{- include "stalk.block" (list 2 (include "stalk.env" (list $root (dict "values" dict) (index . 4)))) }}
  volumeMounts: {{- concat (list (dict "name" "tmp" "mountPath" "/tmp")) (index . 5) | toYaml | nindent 4 }}
{{- with (index . 1).values.initContainers }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The `data` volume of a server that is no claim template: a claim of the user's, or an empty folder. */}}
{{- define "stalk.dataVolume" -}}
{{- $p := .values.persistence -}}
{{- if and $p.enabled $p.existingClaim -}}
{{- toJson (dict "items" (list (dict "name" "data" "persistentVolumeClaim" (dict "claimName" $p.existingClaim)))) -}}
{{- else if $p.enabled -}}
{{- toJson (dict "items" list) -}}
{{- else -}}
{{- toJson (dict "items" (list (dict "name" "data" "emptyDir" dict))) -}}
{{- end -}}
{{- end -}}

{{/* A StatefulSet's claim template (list $ component). Immutable: nothing in it changes with a version. */}}
{{- define "stalk.claimTemplates" -}}
{{- $p := (index . 1).values.persistence -}}
{{- if and $p.enabled (not $p.existingClaim) -}}
volumeClaimTemplates:
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata:
      name: data
      labels: {{- include "stalk.selectorLabels" . | nindent 8 }}
    spec: {{- include "stalk.claimSpec" $p | nindent 6 }}
{{- end -}}
{{- end -}}

{{/* The `data` volume of a Deployment, whose claim the chart renders. */}}
{{- define "stalk.claimVolume" -}}
{{- $p := .values.persistence -}}
{{- if $p.enabled -}}
{{- $claim := dict "claimName" ($p.existingClaim | default .name) -}}
{{- toJson (dict "items" (list (dict "name" "data" "persistentVolumeClaim" $claim))) -}}
{{- else -}}
{{- toJson (dict "items" list) -}}
{{- end -}}
{{- end -}}

{{/* A whole claim for a Deployment (list $ component). */}}
{{- define "stalk.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{- include "stalk.metadata" . | nindent 2 }}
spec: {{- include "stalk.claimSpec" (index . 1).values.persistence | nindent 2 }}
{{- end -}}
