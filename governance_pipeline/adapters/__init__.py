"""Everything outside the process: files, engines, the network."""
