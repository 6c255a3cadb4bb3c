"""What people are told of policy, plan and kernel: values in, lines and JSON out. Pure."""
