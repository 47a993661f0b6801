{{/* Text at an indent, on a new line; nothing for no text (list 8 text). */}}
{{- define "stalk.block" -}}
{{- $indent := int (index . 0) -}}
{{- with index . 1 | trim }}{{ . | nindent $indent }}{{ end -}}
{{- end -}}

{{/* What every pod spec begins with (list $ component); a third item "token" mounts the service account's token. */}}
{{- define "stalk.podSpec" -}}
{{- $root := index . 0 -}}
{{- $c := index . 1 -}}
{{- $v := $c.values -}}
serviceAccountName: {{ include "stalk.serviceAccountName" (list $root $c) | quote }}
automountServiceAccountToken: {{ gt (len .) 2 }}
enableServiceLinks: false
{{- with $root.Values.global.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.podSecurityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.terminationGracePeriodSeconds }}
terminationGracePeriodSeconds: {{ int . }}
{{- end }}
{{- with $v.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $v.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- with $v.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- $selector := dict "matchLabels" (include "stalk.selectorLabels" (list $root $c) | fromYaml) }}
  {{- range . }}
  {{- list (hasKey . "labelSelector" | ternary . (merge (dict "labelSelector" $selector) .)) | toYaml | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The lines of a pod template's metadata (list $ component checksums). */}}
{{- define "stalk.podMetadata" -}}
{{- $c := index . 1 -}}
labels: {{- include "stalk.podLabels" (list (index . 0) $c) | nindent 2 }}
{{- $annotations := index . 2 }}
{{- with include "stalk.merge" (list $annotations ($c.values.podAnnotations | default dict)) | fromJson }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* image and security of one container (list $ component). */}}
{{- define "stalk.container" -}}
{{- $image := (index . 1).values.image -}}
image: {{ include "stalk.image" (list (index . 0) $image) | quote }}
imagePullPolicy: {{ $image.pullPolicy }}
{{- include "stalk.containerSecurity" (index . 1) }}
{{- end -}}

{{/* Security context and resources of one container of a component. */}}
{{- define "stalk.containerSecurity" -}}
{{- with .values.securityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.resources }}
resources: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A Deployment's strategy: Recreate, set over a default of RollingUpdate, has none of the default's numbers. */}}
{{- define "stalk.strategy" -}}
{{- $strategy := .values.strategy -}}
{{- ternary (omit $strategy "rollingUpdate") $strategy (eq ($strategy.type | default "") "Recreate") | toYaml -}}
{{- end -}}

{{/* The three probes of a component. */}}
{{- define "stalk.probes" -}}
{{- range $kind := list "startup" "liveness" "readiness" }}
{{- with get ($.values.probes | default dict) $kind }}
{{ $kind }}Probe: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Mounts and volumes (list component extra), where extra is a list of each; every container may write to /tmp. */}}
{{- define "stalk.volumeMounts" -}}
{{- $own := (index . 0).values.extraVolumeMounts | default list -}}
volumeMounts: {{- concat (list (dict "name" "tmp" "mountPath" "/tmp")) (index . 1) $own | toYaml | nindent 2 }}
{{- end -}}

{{- define "stalk.volumes" -}}
{{- $own := (index . 0).values.extraVolumes | default list -}}
volumes: {{- concat (list (dict "name" "tmp" "emptyDir" dict)) (index . 1) $own | toYaml | nindent 2 }}
{{- end -}}

{{- define "stalk.initContainers" -}}
{{- with .values.initContainers }}
initContainers: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "stalk.sidecars" -}}
{{- with .values.sidecars }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "stalk.serviceAccountName" -}}
{{- $c := index . 1 -}}
{{- if $c.values.serviceAccount.name -}}
{{- $c.values.serviceAccount.name -}}
{{- else if $c.values.serviceAccount.create -}}
{{- $c.name -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{/* A whole ServiceAccount (list $ component); a third item is a map of more annotations. */}}
{{- define "stalk.serviceAccount" -}}
{{- $root := index . 0 -}}
{{- $c := index . 1 -}}
{{- $annotations := dict -}}
{{- if gt (len .) 2 }}{{ $annotations = index . 2 }}{{ end -}}
{{- if $c.values.serviceAccount.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "stalk.metadata" (list $root $c (include "stalk.serviceAccountName" (list $root $c))) | nindent 2 }}
  {{- with include "stalk.merge" (list ($c.values.serviceAccount.annotations | default dict) $annotations) | fromJson }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end -}}
{{- end -}}

{{/* A whole RoleBinding of a component's Role to its ServiceAccount (list $ component); a third item is a map of annotations. */}}
{{- define "stalk.roleBinding" -}}
{{- $root := index . 0 -}}
{{- $c := index . 1 -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "stalk.metadata" (list $root $c) | nindent 2 }}
  {{- if gt (len .) 2 }}
  annotations: {{- toYaml (index . 2) | nindent 4 }}
  {{- end }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ $c.name | quote }}}
subjects:
  - {kind: ServiceAccount, name: {{ include "stalk.serviceAccountName" (list $root $c) | quote }}, namespace: {{ $root.Release.Namespace | quote }}}
{{- end -}}

{{/* A whole PodDisruptionBudget (list $ component). */}}
{{- define "stalk.pdb" -}}
{{- $c := index . 1 -}}
{{- $pdb := $c.values.pdb -}}
{{- if $pdb.enabled -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{- include "stalk.metadata" . | nindent 2 }}
spec:
  {{- with include "stalk.given" (list $pdb "minAvailable" "") }}
  minAvailable: {{ . }}
  {{- else }}
  maxUnavailable: {{ include "stalk.given" (list $pdb "maxUnavailable" 1) }}
  {{- end }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "stalk.selectorLabels" . | nindent 6 }}
{{- end -}}
{{- end -}}

{{/* A volume claim's spec, from a `persistence` map. */}}
{{- define "stalk.claimSpec" -}}
accessModes: {{- toYaml .accessModes | nindent 2 }}
{{- with .storageClass }}
storageClassName: {{ . | quote }}
{{- end }}
resources:
  requests:
    storage: {{ .size }}
{{- end -}}
