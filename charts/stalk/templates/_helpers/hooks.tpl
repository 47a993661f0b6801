{{/* Annotations of the credentials Job and of what it needs (its weight). Gone again when it has succeeded. Returns JSON. */}}
{{- define "stalk.credentialsHook" -}}
{{- toJson (dict
      "helm.sh/hook" "pre-install,pre-upgrade"
      "helm.sh/hook-weight" .
      "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded") -}}
{{- end -}}

{{- define "stalk.testHook" -}}
{{- toJson (dict
      "helm.sh/hook" "test"
      "helm.sh/hook-weight" .
      "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded") -}}
{{- end -}}

{{/* The same for a pod (its weight): Helm 3.18 and later print its log. `--logs` cannot, for what has succeeded is gone by then. */}}
{{- define "stalk.testPodHook" -}}
{{- toJson (merge (dict "helm.sh/hook-output-log-policy" "hook-succeeded,hook-failed") (include "stalk.testHook" . | fromJson)) -}}
{{- end -}}

{{- define "stalk.credentialsArgs" -}}
{{- $args := list "stalk" "credentials" "--secret" (include "stalk.credentialsName" .) -}}
{{- range (include "stalk.generatedKeys" . | fromJson).keys }}{{ $args = append (append $args "--key") . }}{{ end -}}
{{- $labels := dict "app.kubernetes.io/part-of" "stalk" "app.kubernetes.io/instance" .Release.Name -}}
{{- range $key, $value := $labels }}{{ $args = append (append $args "--label") (printf "%s=%s" $key $value) }}{{ end -}}
{{- toJson (dict "items" (concat $args (list "--generation" (toString (int .Values.credentials.generation))))) -}}
{{- end -}}
