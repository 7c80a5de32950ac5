// Package strictyaml reads a protobuf message from one YAML document that a
// person wrote, and refuses whatever a person cannot have meant.
//
// protoyaml finds unknown fields, wrong types and broken protovalidate rules,
// each with file, line and column. YAML itself lets more pass in silence, and
// here it does not: a key that is given twice (the first would be dropped), a
// second document (it would be ignored), an empty file (it would be a message
// that nobody checked), anchors and aliases (what is read is no longer what is
// written), field numbers as keys, and line breaks that an editor does not show
// as such (every position in an error would be off).
//
// All that is wrong is told at once.
package strictyaml
