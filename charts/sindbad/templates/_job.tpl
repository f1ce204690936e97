{{/* The spec of a Job that runs one command of an image of its own, once, beside the weights claim. Takes
     (dict "root" $ "name" image "values" its values "args" list of arguments). */}}
{{- define "sindbad.job" -}}
{{- $root := .root -}}
backoffLimit: 1
activeDeadlineSeconds: {{ .values.deadlineSeconds }}
template:
  metadata:
    labels: {{- include "sindbad.labels" . | nindent 6 }}
  spec:
    restartPolicy: Never
    automountServiceAccountToken: false
    {{- with $root.Values.image.pullSecrets }}
    imagePullSecrets:
      {{- range . }}
      - name: {{ . }}
      {{- end }}
    {{- end }}
    {{- with $root.Values.scheduling.nodeSelector }}
    nodeSelector: {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with $root.Values.scheduling.tolerations }}
    tolerations: {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with $root.Values.scheduling.priorityClassName }}
    priorityClassName: {{ . }}
    {{- end }}
    securityContext:
      runAsNonRoot: true
      runAsUser: 65532
      fsGroup: 65532
      seccompProfile: {type: RuntimeDefault}
    containers:
      - name: {{ .name }}
        image: {{ include "sindbad.image" . }}
        imagePullPolicy: {{ $root.Values.image.pullPolicy }}
        args:
          {{- range .args }}
          - {{ . | quote }}
          {{- end }}
        resources: {{- toYaml .values.resources | nindent 10 }}
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities: {drop: [ALL]}
        volumeMounts:
          - {name: weights, mountPath: {{ $root.Values.weights.mountPath }}}
          - {name: scratch, mountPath: /tmp}
    volumes:
      - name: weights
        persistentVolumeClaim:
          claimName: {{ include "sindbad.claim" (dict "root" $root "volume" "weights") }}
      - name: scratch
        emptyDir: {}
{{- end }}
