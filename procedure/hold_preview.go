package procedure

// HoldPreviewUnknown holds a start of which nobody can tell whether it would still change a
// target as people were shown: the tool that said so gives no answer.
const HoldPreviewUnknown = "preview.unknown"
