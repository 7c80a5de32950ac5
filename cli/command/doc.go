// Package command is the command line: one file for each command or family of
// commands that differ by a word, root.go for what all have in common.
//
// To add a command, write a file with a function that takes the *app and returns a
// *cobra.Command with Use, Short, Example and RunE, let RunE be app.run(…), so that
// errors get their exit codes, and name the function in commands (root.go). Run
// `go test ./cli/command -run TestReference -update` to bring
// docs/cli.md up to date.
//
// Data goes to app.out, whatever is said about it to app.say. A command that fails
// returns an error made by package exit.
package command
