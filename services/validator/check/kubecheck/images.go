package kubecheck

import (
	"regexp"

	corev1 "k8s.io/api/core/v1"
)

// digest is at the end of what a node says that a container runs, behind an @ where the image came
// from a registry.
var digest = regexp.MustCompile(`^(?:.*@)?(sha256:[0-9a-f]{64})$`)

// images says which images the containers of pods run, by what their nodes say and not by what was
// asked for: a tag may lead elsewhere by now, and a digest may have been overwritten on the way. A
// container that was never started runs nothing.
func (l look) images(pods []corev1.Pod) {
	var t tally
	for _, pod := range pods {
		running := false
		for _, c := range containers(pod) {
			if idle(pod, c) {
				continue
			}
			running = true
			value := ""
			if c.status != nil {
				if found := digest.FindStringSubmatch(c.status.ImageID); found != nil {
					value = found[1]
				}
			}
			t.add(pod, "image of "+c.String(), value)
		}
		if running {
			l.found.Objects++
		} else {
			l.found.LeftOut++
		}
	}
	t.say(l)
}

// idle reports whether a container was never started.
func idle(pod corev1.Pod, c container) bool {
	if c.status == nil {
		return pod.Status.Phase == corev1.PodPending
	}
	s := c.status
	return s.ImageID == "" && s.State.Running == nil && s.State.Terminated == nil && s.LastTerminationState.Terminated == nil
}
