{{/* Passwords have generations, so that two are valid at a time. */}}

{{/* A password's key in a generation (list $ "redis-password" 0): the last is how many after credentials.generation. */}}
{{- define "stalk.generationKey" -}}
{{- $generation := add (index . 0).Values.credentials.generation (index . 2) | int -}}
{{- index . 1 -}}
{{- if gt $generation 1 }}-{{ $generation }}{{ end -}}
{{- end -}}

{{/* A broker user's name in a generation (list $ "stalk" 0). RabbitMQ knows one password a user: two users take turns. */}}
{{- define "stalk.generationUser" -}}
{{- $generation := add (index . 0).Values.credentials.generation (index . 2) | int -}}
{{- index . 1 -}}
{{- if eq (mod $generation 2) 0 }}-even{{ end -}}
{{- end -}}

{{/* The bundled broker's login of this generation (list $ username key): {username, password}. Returns JSON. */}}
{{- define "stalk.bundledLogin" -}}
{{- $root := index . 0 -}}
{{- $secret := $root.Values.rabbitmq.auth.existingSecret | default (include "stalk.credentialsName" $root) -}}
{{- toJson (dict
      "username" (dict "text" (include "stalk.generationUser" (list $root (index . 1) 0)))
      "password" (dict "secret" $secret "key" (include "stalk.generationKey" (list $root (index . 2) 0)))) -}}
{{- end -}}

{{/* What a bundled server reads beside a password (list $ prefix secret key): those of the generation before and, after a
     rollback, of the next one. Returns JSON. */}}
{{- define "stalk.otherPasswords" -}}
{{- $root := index . 0 -}}
{{- $env := dict -}}
{{- range $name, $offset := dict "PREVIOUS" -1 "NEXT" 1 -}}
{{- if gt (add $root.Values.credentials.generation $offset | int) 0 -}}
{{- $key := include "stalk.generationKey" (list $root (index $ 3) $offset) -}}
{{- $ref := dict "secretKeyRef" (dict "name" (index $ 2) "key" $key "optional" true) -}}
{{- $_ := set $env (printf "%s_%s_PASSWORD" (index $ 1) $name) (dict "valueFrom" $ref) -}}
{{- end -}}
{{- end -}}
{{- toJson $env -}}
{{- end -}}
