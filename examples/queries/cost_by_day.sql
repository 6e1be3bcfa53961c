-- Cost of each UTC day, and how much of it the providers may still restate.
SELECT
  DATE(ChargePeriodStart) AS day,
  BillingCurrency AS currency,
  SUM(BilledCost) AS billed_cost,
  SUM(IF(x_CostStatus = 'provisional', BilledCost, 0)) AS provisional_cost
FROM `{tenant}_silver_cost.focus_costs`
GROUP BY DATE(ChargePeriodStart), BillingCurrency
ORDER BY day, currency
