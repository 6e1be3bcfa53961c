-- Cost of each service, largest first. `{tenant}` is the tenant's id, e.g. acme_corp.
SELECT
  ServiceProviderName AS provider,
  ServiceName AS service,
  BillingCurrency AS currency,
  COUNT(*) AS charges,
  SUM(BilledCost) AS billed_cost
FROM `{tenant}_silver_cost.focus_costs`
GROUP BY ServiceProviderName, ServiceName, BillingCurrency
ORDER BY billed_cost DESC, provider, service
