"""What makes a program a daemon: sockets, state folder, control socket, signals, limits, logs, hand-over."""
