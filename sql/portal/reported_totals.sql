-- Totals of a period as it was last reported, published or not: one row per unit.
select * exclude (merchant_id, period) from reports.summary_statistics where period = $period
