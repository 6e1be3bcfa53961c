-- The exact total by provider and currency: what the bills must add up to.
SELECT
  ServiceProviderName AS provider,
  BillingCurrency AS currency,
  COUNT(*) AS charges,
  SUM(BilledCost) AS billed_cost
FROM `{tenant}_silver_cost.focus_costs`
GROUP BY ServiceProviderName, BillingCurrency
ORDER BY provider, currency
