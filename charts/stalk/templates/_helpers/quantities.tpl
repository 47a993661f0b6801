{{/* A Kubernetes memory quantity in bytes; 0 when there is none. */}}
{{- define "stalk.bytes" -}}
{{- $text := toString (. | default "0") -}}
{{- $units := dict "" 1 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- if hasKey $units $unit -}}
{{- mulf (float64 (trimSuffix $unit $text)) (float64 (get $units $unit)) | int64 -}}
{{- else -}}
{{- int64 (float64 $text) -}}
{{- end -}}
{{- end -}}
