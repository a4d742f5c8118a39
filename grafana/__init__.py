"""What Grafana, Prometheus and their users get: dashboards, rules, provisioning."""
