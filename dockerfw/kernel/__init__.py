"""The kernel's edge: reads what stands, writes steps, tells what others change."""
