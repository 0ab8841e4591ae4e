// Package standin is a gitlab-runner for machines that have none: the built-in
// runner of the demo and of the tests. It speaks the job protocol of the real
// one, takes the same signals, reloads the same config.toml, serves the same
// metrics, and runs the jobs' scripts with bash.
//
// It guarantees that what Shoal can see of it (requests, headers, bodies, exit
// codes, metric names, labels and values) is what was recorded from real
// processes of two versions. It keeps their awkward sides too: a poll in flight
// outlives the removal of its [[runners]] section, a job that ignores SIGTERM is
// not reported, and concurrent = 0 kills the process.
//
// It leaves out what no fleet depends on: Git, caches, artifacts, services and
// every executor but the shell.
package standin
