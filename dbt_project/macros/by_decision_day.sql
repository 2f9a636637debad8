{#- Tables by decision day are recomputed for exactly the days that intake named.

The days are rows, not vars: vars that change make dbt parse the whole project anew. A label, an
appeal or an answer touches the day it speaks of, but not what is counted from decisions alone:
that is recomputed for the decided days, those whose decisions came or changed. -#}

{#- What a table that is recomputed by day starts with: DuckDB deletes the days and appends them,
Spark overwrites the partitions that a build brings rows for. -#}
{% macro recomputed_by_day(column='decision_date', on_schema_change='ignore') -%}
    {{ _recomputed(column, "forget_decision_days('" ~ column ~ "')", on_schema_change) }}
{%- endmacro %}

{% macro recomputed_by_decided_day(column='decision_date', on_schema_change='ignore') -%}
    {{ _recomputed(column, "forget_decided_days('" ~ column ~ "')", on_schema_change) }}
{%- endmacro %}

{% macro recomputed_by_decided_month(column='decision_month', on_schema_change='ignore') -%}
    {{ _recomputed(column, "forget_decided_months('" ~ column ~ "')", on_schema_change) }}
{%- endmacro %}

{% macro _recomputed(column, forget, on_schema_change) -%}
    {{ config(
        materialized='incremental',
        incremental_strategy='insert_overwrite' if target.type == 'spark' else 'append',
        partition_by=column if target.type == 'spark' else none,
        on_schema_change=on_schema_change,
        pre_hook='{{ ' ~ forget ~ ' }}'
    ) }}
{%- endmacro %}

{% macro in_decision_days(column) -%}
    {{ among(column, named_days('decision'), 'days.day', 'stg_build_days') }}
{%- endmacro %}

{% macro in_decided_days(column) -%}
    {{ among(column, named_days('decided'), 'days.day', 'stg_decided_days') }}
{%- endmacro %}

{#- A full refresh counts every row of every delivery; only a smaller build has to look at days. -#}
{% macro where_decided(column='decision_date') -%}
    {%- if is_incremental() -%} where {{ in_decided_days(column) }} {%- endif -%}
{%- endmacro %}

{#- As `where_decided`, but on DuckDB a full refresh counts ten days at a time: the cells of all days
would be spilled to disk and read again. The model's `post_hook` counts the days after the first ten. -#}
{% macro where_decided_by_blocks(column='decision_date') -%}
    {%- set blocks = blocks_of_days() -%}
    {%- if blocks -%} where {{ in_block(column, blocks[0]) }}
    {%- else -%} {{ where_decided(column) }}
    {%- endif -%}
{%- endmacro %}

{#- What is counted by month is counted a month at a time. -#}
{% macro in_decided_months_by_blocks(column='decision_date') -%}
    {%- set blocks = blocks_of_days(by_month=true) -%}
    {%- if blocks -%} {{ in_block(column, blocks[0]) }}
    {%- elif is_incremental() -%}
        {{ in_decided_months("cast(date_trunc('month', " ~ column ~ ") as date)") }}
    {%- else -%} true
    {%- endif -%}
{%- endmacro %}

{% macro count_later_blocks(column='decision_date', by_month=false) -%}
    {%- set blocks = blocks_of_days(by_month) -%}
    {%- for block in blocks[1:] -%}
        insert into {{ this }} by name
        {{ model['compiled_code'] | replace(in_block(column, blocks[0]), in_block(column, block)) }};
    {%- endfor -%}
{%- endmacro %}

{% macro blocks_of_days(by_month=false) -%}
    {%- set blocks = [] -%}
    {%- if execute and target.type == 'duckdb' and not is_incremental() -%}
        {%- set decided = run_query('select day from ' ~ ref('stg_decided_days') ~ ' order by day') -%}
        {%- set days = decided.columns[0].values() -%}
        {%- if by_month -%}
            {%- for day in days -%}
                {%- if blocks and blocks[-1][0].strftime('%Y-%m') == day.strftime('%Y-%m') -%}
                    {%- do blocks[-1].append(day) -%}
                {%- else -%}
                    {%- do blocks.append([day]) -%}
                {%- endif -%}
            {%- endfor -%}
        {%- else -%}
            {%- for block in days | batch(10) -%}{%- do blocks.append(block) -%}{%- endfor -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(blocks) }}
{%- endmacro %}

{% macro in_block(column, days) -%}
    {{ column }} between date '{{ days[0] }}' and date '{{ days[-1] }}'
{%- endmacro %}

{#- A month is recomputed when the decisions of one of its days are. -#}
{% macro in_decided_months(month) -%}
    {%- set named = months_of(named_days('decided')) -%}
    {{ among(month, named, "cast(date_trunc('month', days.day) as date)", 'stg_decided_days') }}
{%- endmacro %}

{#- Run before the recomputed days are appended, in the same transaction. -#}
{% macro forget_decision_days(column='decision_date') -%}
    {{ forget(column, named_days('decision'), in_decision_days(column)) }}
{%- endmacro %}

{% macro forget_decided_days(column='decision_date') -%}
    {{ forget(column, named_days('decided'), in_decided_days(column)) }}
{%- endmacro %}

{% macro forget_decided_months(column='decision_month') -%}
    {{ forget(column, months_of(named_days('decided')), in_decided_months(column)) }}
{%- endmacro %}

{#- The days of `kind` as the engine names them, for one that prunes by constants alone; else
nothing. Never while parsing: a variable that changes costs a new parse. -#}
{% macro named_days(kind) -%}
    {%- if execute and target.type == 'spark' -%}
        {{ env_var('GOVERNANCE_' ~ kind | upper ~ '_DAYS', '') }}
    {%- endif -%}
{%- endmacro %}

{% macro months_of(days) -%}
    {%- set months = [] -%}
    {%- for day in days.split() -%}{%- do months.append(day[:7] ~ '-01') -%}{%- endfor -%}
    {{ months | unique | join(' ') }}
{%- endmacro %}
