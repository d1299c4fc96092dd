"""The process: listening sockets, state folder, control socket, signals, hand-over."""
