"""Files for Grafana and Prometheus: dashboards, rules, provisioning."""
