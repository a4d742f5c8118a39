"""Change devices to match `expect`: the plan, the change, its report and its audit log.

The only code that changes a device. The daemon never imports it.
"""
